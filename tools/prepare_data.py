"""Turns downloaded datasets into the folders that the configs read.

Finished images are kept, so a stopped run is gone on with by the same command.
"""

import argparse
import sys

from mmagic_mr import cli
from mmagic_mr.data.prepare import find_commands


def parse_args(argv=None):
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest='command', required=True, metavar='COMMAND')
    for command in find_commands().values():
        subparser = commands.add_parser(
            command.name,
            help=command.help,
            description=command.help,
            formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        )
        command.add_arguments(subparser)
    return parser.parse_args(argv)


def main(argv=None):
    options = vars(parse_args(argv))
    run = find_commands()[options.pop('command')].run
    try:
        run(**options)
    except KeyboardInterrupt:
        sys.exit('stopped: the same command goes on from here')


if __name__ == '__main__':
    with cli.short_errors():
        main()
