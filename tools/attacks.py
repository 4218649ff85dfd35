"""Kills trainings and a study's server, fills disks, and says what broke.

    python tools/attacks.py
    python tools/attacks.py --kills 100 --seed 1 --hosts srgan --json attacks.json

Prints each attempt to stderr and a Markdown table to stdout; status 1 if anything did
not hold. Everything is in tests/attacks/; this needs the repository. Takes about ten
minutes on two cores.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# In place of tools/, where this file would hide the folder of the same name
sys.path[0] = str(ROOT / 'tests')


def parse_args():
    from attacks.training import HOSTS

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        '--kills', type=int, default=20, help="SIGKILLs of each host's training (20)"
    )
    parser.add_argument('--seed', type=int, default=0, help='of when they hit (0)')
    parser.add_argument('--hosts', nargs='+', choices=HOSTS, default=HOSTS)
    parser.add_argument(
        '--json', type=Path, metavar='FILE', help='write the table as JSON, too'
    )
    return parser.parse_args()


def main():
    args = parse_args()

    from attacks import summary

    from mmagic_mr.io import write_text

    def say(text):
        print(text, file=sys.stderr, flush=True)

    say(f'seed {args.seed}')
    with tempfile.TemporaryDirectory() as folder:
        rows = list(
            summary.run_all(Path(folder), args.kills, args.seed, args.hosts, say)
        )
    print(summary.markdown(rows))
    if args.json:
        table = dict(seed=args.seed, rows=[row._asdict() for row in rows])
        write_text(args.json, json.dumps(table, indent=1) + '\n')
    sys.exit(any(row.failures for row in rows))


if __name__ == '__main__':
    main()
