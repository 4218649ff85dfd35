"""Lists where noise can enter the generator of a config, and what samples then share.

    python tools/list_sites.py configs/edsr_crps_div2k.py
    python tools/list_sites.py mmagic::rdn/rdn_x4c64b16_1xb16-1000k_div2k.py
    python tools/list_sites.py --table  # MMagic's generators: docs/noise_sites.md

A line for each place of a convolution in the blocks of the network: how many there are,
channels and size of the input (from the first to the last), the share of the
multiplications that K samples of an input have in common with noise there, and why
others take none: convolutions in groups, those that are not used, and those without an
effect, since what follows starts as zero.
"""

import argparse
import warnings
from pathlib import Path

from mmagic_mr import cli
from mmagic_mr.errors import UserError

CONFIGS = Path(__file__).resolve().parent.parent / 'configs'


def parse_args():
    parser = cli.config_parser(__doc__, nargs='?')
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument(
        '--size',
        type=int,
        metavar='S',
        help='side of the input (the first of 32, 64, '
        '128, 256, 512 that the network takes)',
    )
    parser.add_argument(
        '--all', action='store_true', help='a line for each convolution'
    )
    parser.add_argument(
        '--table', action='store_true', help="of MMagic's generators, as Markdown"
    )
    return parser.parse_args()


def main():
    args = parse_args()
    if bool(args.config) == args.table:
        raise UserError('give a config, or --table')
    if args.size is not None and args.size < 1:
        raise UserError(f'--size must be at least 1, got {args.size}')
    cfg = None if args.table else cli.read_config(args, CONFIGS)

    # MMagic's dependencies warn a lot when they are imported
    warnings.filterwarnings('ignore')
    from mmengine.registry import init_default_scope
    from mmengine.utils import import_modules_from_strings

    from mmagic_mr import plugin  # noqa: F401
    from mmagic_mr.models.noise_sites import survey
    from mmagic_mr.reports import noise_sites

    init_default_scope('mmagic')
    if cfg is not None:
        import_modules_from_strings(**cfg.get('custom_imports', {'imports': None}))
        print(noise_sites.as_text(survey(cfg.model, args.size), args.all))
        return
    surveys = {}
    for name in noise_sites.STOCK:
        args.config = f'mmagic::{name}.py'
        model = cli.read_config(args, CONFIGS).model
        surveys[name] = survey(model, args.size)
    print(noise_sites.as_markdown(surveys))


if __name__ == '__main__':
    with cli.short_errors():
        main()
