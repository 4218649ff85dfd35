"""Turns downloaded datasets into the folders that the configs read.

Finished images are kept, so a stopped run is gone on with by the same command.
"""

import argparse
import os
import sys
from pathlib import Path


def parse_args(argv=None):
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest='command', required=True, metavar='COMMAND')
    formatter = {'formatter_class': argparse.ArgumentDefaultsHelpFormatter}

    def dataset(name, text, source, size):
        command = commands.add_parser(name, help=text, description=text, **formatter)
        command.add_argument('src', metavar='SRC', type=Path, help=source)
        command.add_argument('dst', metavar='DST', type=Path, help='output folder')
        command.add_argument('--size', type=positive, default=size, help='in pixels')
        command.add_argument(
            '--limit', type=positive, metavar='N', help='first N of each split, to try'
        )
        workers(command)
        return command

    def workers(command):
        command.add_argument(
            '--workers',
            type=count,
            default=min(8, os.cpu_count() or 1),
            help='processes; 0: none',
        )

    dataset(
        'cityscapes',
        'photo | label colours, 256x256 each',
        'folder with leftImg8bit/ and gtFine/',
        256,
    )
    dataset(
        'maps',
        'aerial photo | map, 512x512 each',
        'maps.tar.gz, or the folder unpacked from it',
        512,
    )
    faces = 'folder with img_align_celeba/ and list_eval_partition.txt'
    crop = {'type': positive, 'default': 178, 'help': 'centre square cut first'}
    sr = dataset('celeba-sr', 'faces of 64x64 (gt) and 16x16 (lq)', faces, 64)
    sr.add_argument('--crop', **crop)
    sr.add_argument('--scale', type=positive, default=4, help='gt size over lq size')
    text = 'faces of 128x128, and fixed holes for val and test'
    inpaint = dataset('celeba-inpaint', text, faces, 128)
    inpaint.add_argument('--crop', **crop)
    inpaint.add_argument('--box', type=positive, default=64, help='local box')
    inpaint.add_argument(
        '--hole',
        type=positive,
        nargs=2,
        default=(48, 64),
        metavar=('MIN', 'MAX'),
        help='sides of a hole',
    )
    inpaint.add_argument('--seed', type=count, default=0, help='of the fixed holes')

    text = 'mean and standard deviation of the colours, as a config line'
    stats = commands.add_parser('stats', help=text, description=text, **formatter)
    stats.add_argument(
        'folder', metavar='DST', type=Path, help='paired dataset or folder of images'
    )
    stats.add_argument(
        '--side',
        choices=['A', 'B', 'all'],
        help='half of each image; without it B of a paired dataset, else all',
    )
    workers(stats)
    return parser.parse_args(argv)


def count(text):
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f'{value} is negative')
    return value


def positive(text):
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f'{value} is not at least 1')
    return value


def run(command, **options):
    # Imported here, so that --help needs none of it
    if command == 'cityscapes':
        from mmagic_mr.data.prepare.cityscapes import prepare_cityscapes

        prepare_cityscapes(**options)
    elif command == 'maps':
        from mmagic_mr.data.prepare.maps import prepare_maps

        prepare_maps(**options)
    elif command == 'celeba-sr':
        from mmagic_mr.data.prepare.celeba import prepare_celeba_sr

        prepare_celeba_sr(**options)
    elif command == 'celeba-inpaint':
        from mmagic_mr.data.prepare.celeba import prepare_celeba_inpaint

        print('mean colour:', prepare_celeba_inpaint(**options))
    else:
        from mmagic_mr.data.prepare.stats import whiten_line

        print(whiten_line(**options))


def main(argv=None):
    options = vars(parse_args(argv))
    from mmagic_mr.data.prepare.files import PrepareError

    try:
        run(**options)
    except (PrepareError, OSError) as error:
        sys.exit(f'error: {error}')
    except KeyboardInterrupt:
        sys.exit('stopped: the same command goes on from here')


if __name__ == '__main__':
    main()
