"""Draws samples from a trained model, as PNG files and a collage for each image.

python tools/sample.py configs/pix2pix_proxy_mr2_cityscapes.py CHECKPOINT label.png
"""

import sys
from collections import Counter
from pathlib import Path

from mmagic_mr import cli

CONFIGS = Path(__file__).resolve().parent.parent / 'configs'


def parse_args():
    parser = cli.config_parser('Draw samples for image files')
    parser.add_argument('checkpoint')
    parser.add_argument(
        'images', nargs='+', help='conditions (label maps), or folders of them'
    )
    parser.add_argument(
        '--pair',
        action='store_true',
        help='the images are pairs as in the data set: ground truth left, label right',
    )
    parser.add_argument('--num-samples', type=int, default=10, metavar='K')
    parser.add_argument(
        '--seed', type=int, default=0, help='the same seed draws the same samples'
    )
    parser.add_argument('--out', default='samples', metavar='DIR')
    parser.add_argument('--device', help='cpu, cuda, cuda:1 (default: a GPU if any)')
    return parser.parse_args()


def output_names(paths):
    """A name for each image: its stem, with the folder's where stems are not unique."""
    stems = Counter(path.stem for path in paths)
    names = [
        path.stem if stems[path.stem] == 1 else f'{path.parent.name}_{path.stem}'
        for path in paths
    ]
    for name, count in Counter(names).items():
        if count > 1:
            raise ValueError(
                f'{count} of the images would be written as {name}: give one at a time'
            )
    return names


def main():
    args = parse_args()
    cfg = cli.read_config(args, CONFIGS)
    if args.num_samples < 1:
        raise ValueError(f'--num-samples must be at least 1, got {args.num_samples}')
    if not Path(args.checkpoint).is_file():
        raise FileNotFoundError(f'no checkpoint {args.checkpoint}')
    from mmagic_mr import inference

    paths = inference.find_images(args.images)
    names = output_names(paths)

    import torch
    from tqdm import tqdm

    from mmagic_mr.collage import collage, save_picture

    device = args.device or ('cuda' if torch.cuda.is_available() else 'cpu')
    model = inference.load_model(cfg, args.checkpoint, device)
    domains = f'img_{model.source_domain}', f'img_{model.target_domain}'
    for path, name in zip(tqdm(paths, file=sys.stderr), names, strict=True):
        output = inference.sample_image(
            model, path, args.num_samples, args.seed, args.pair
        )
        for k, picture in enumerate(inference.to_rgb(output.samples)):
            save_picture(picture, Path(args.out, name, f'{k:03d}.png'))
        picture = collage({'': [output]}, args.num_samples, 96, *domains)
        save_picture(picture, Path(args.out, f'{name}.png'))
    print(f'{len(paths)} x {args.num_samples} samples and collages: {args.out}')


if __name__ == '__main__':
    with cli.short_errors():
        main()
