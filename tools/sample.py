"""Draws samples from a trained model, as PNG files and a collage for each image.

python tools/sample.py configs/pix2pix_proxy_mr2_cityscapes.py CHECKPOINT label.png
python tools/sample.py srgan_proxy_mr2_celeba CHECKPOINT small.png
python tools/sample.py glcic_proxy_mr2_celeba CHECKPOINT face.png --mask mask.png
"""

import sys
from pathlib import Path

from mmagic_mr import cli
from mmagic_mr.errors import MissingFileError, UserError

CONFIGS = Path(__file__).resolve().parent.parent / 'configs'


def parse_args():
    parser = cli.config_parser('Draw samples for image files')
    parser.add_argument('checkpoint', help='file, or the folder of a run: its latest')
    parser.add_argument(
        'images',
        nargs='+',
        help='conditions (label maps, small images, images with a hole), or folders',
    )
    parser.add_argument(
        '--pair',
        action='store_true',
        help='the images hold the ground truth: label maps are pairs as in the data '
        'set; images to inpaint have no hole yet',
    )
    parser.add_argument(
        '--mask',
        metavar='FILE',
        help='inpainting: image that is black but for the hole; or a folder that has '
        'one for each image, of its name, as PNG',
    )
    parser.add_argument('--num-samples', type=int, default=10, metavar='K')
    parser.add_argument(
        '--seed', type=int, default=0, help='the same seed draws the same samples'
    )
    parser.add_argument(
        '--temperature',
        type=float,
        default=1.0,
        metavar='T',
        help='factor of the noise: below 1 the samples are nearer to each other',
    )
    parser.add_argument('--out', default='samples', metavar='DIR')
    parser.add_argument(
        '--maps',
        nargs='+',
        default=[],
        choices=['png', 'tiff', 'npy'],
        help='write the standard deviation of the samples as well',
    )
    parser.add_argument('--device', help='cpu, cuda, cuda:1 (default: a GPU if any)')
    cli.add_amp_option(
        parser, help='compute in half precision, where the device has it'
    )
    return parser.parse_args()


def main():
    args = parse_args()
    cfg = cli.read_config(args, CONFIGS)
    if args.num_samples < 1:
        raise UserError(f'--num-samples must be at least 1, got {args.num_samples}')
    if not Path(args.checkpoint).exists():
        raise MissingFileError(f'no checkpoint {args.checkpoint}')
    from mmagic_mr import inference

    paths = inference.find_images(args.images)
    names = inference.output_names(paths)

    from tqdm import tqdm

    from mmagic_mr.apis import draw_samples, load_model

    model = load_model(cfg, args.checkpoint, args.device)
    for path, name in zip(tqdm(paths, file=sys.stderr), names, strict=True):
        drawn = draw_samples(
            model,
            path,
            args.num_samples,
            args.seed,
            temperature=args.temperature,
            masks=inference.mask_of(args.mask, path),
            pair=args.pair,
            amp=args.amp,
        )
        drawn.save(args.out, name, args.maps)
    print(f'{len(paths)} x {args.num_samples} samples and collages: {args.out}')


if __name__ == '__main__':
    with cli.short_errors():
        main()
