"""Writes a config, and all that it inherits, into one file that can be copied out.

python tools/export_config.py pix2pix_recommended_cityscapes my_config.py
python tools/train.py my_config.py
"""

from pathlib import Path

from mmagic_mr import cli, exporting

CONFIGS = Path(__file__).resolve().parent.parent / 'configs'


def main():
    parser = cli.config_parser('Write a config into one file')
    parser.add_argument('out', metavar='OUT', type=Path, help='the new file, OUT.py')
    args = parser.parse_args()
    exporting.export(cli.load_config(args, CONFIGS), args.out)
    print(f'written: {args.out}')


if __name__ == '__main__':
    with cli.short_errors():
        main()
