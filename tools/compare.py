"""Trains and judges a matrix of runs and seeds; what is there already is kept.

    python tools/compare.py configs/studies/losses_demo.py --jobs 2

A study is a file with `runs` (name -> config, changes, seeds), `numbers` (of
tools/test.py, for the table) and `expected` (in words, written before). Killed and
started again, it goes on. The table goes to docs/studies/, --table leaves out the runs.
"""

import argparse
from pathlib import Path

from mmagic_mr import cli
from mmagic_mr.errors import UserError

ROOT = Path(__file__).resolve().parent.parent


def parse_args():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('study', help='a file, such as those in configs/studies/')
    parser.add_argument(
        '--jobs', type=int, default=2, metavar='N', help='processes at a time (2)'
    )
    parser.add_argument(
        '--work-dir', type=Path, help='folder of the runs (work_dirs/studies/NAME)'
    )
    parser.add_argument(
        '--out', type=Path, help='the table, .md and .json (docs/studies/NAME)'
    )
    parser.add_argument(
        '--table', action='store_true', help='run nothing, write the table'
    )
    return parser.parse_args()


def main():
    args = parse_args()

    from mmagic_mr.reports import compare

    study = compare.read_study(args.study)
    work = args.work_dir or Path('work_dirs', 'studies', study.name)
    if args.jobs < 1:
        raise UserError(f'--jobs must be at least 1, got {args.jobs}')
    whole = True
    if not args.table:
        compare.write_cells(study, ROOT, work)
        whole = compare.run_missing(work, args.jobs)
    for file in compare.write_results(
        study, work, args.out or ROOT / 'docs' / 'studies' / study.name
    ):
        print(file)
    if not whole:
        raise UserError(f'some runs failed: see output.txt and test.txt in {work}')


if __name__ == '__main__':
    with cli.short_errors():
        main()
