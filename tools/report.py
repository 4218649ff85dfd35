"""Puts several runs side by side: Table 1 of the paper, as Markdown and HTML.

    python tools/report.py work_dirs/*/test_*.json --out report
    python tools/report.py "GAN + L1=a.json" "proxy MR2=b.json" --study scores.json

The HTML page is one file without outside resources; a click on a head sorts.
"""

import argparse
from pathlib import Path

from mmagic_mr import cli
from mmagic_mr.reports.paper import TABLE_1


def parse_args():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        'runs',
        nargs='+',
        metavar='[NAME=]FILE',
        help='JSON files of tools/test.py; NAME instead of the one in the file',
    )
    parser.add_argument(
        '--out', type=Path, default='report', help='folder to write into (report)'
    )
    parser.add_argument(
        '--study', type=Path, help='JSON of "tools/study.py score", for the realism'
    )
    parser.add_argument(
        '--realism',
        action='append',
        default=[],
        metavar='NAME=VALUE',
        help='realism of a method from elsewhere',
    )
    parser.add_argument(
        '--paper', choices=sorted(TABLE_1), help="add the paper's own Table 1"
    )
    return parser.parse_args()


def main():
    args = parse_args()

    from mmagic_mr.reports.report import write_report

    for file in write_report(args.runs, args.out, args.study, args.realism, args.paper):
        print(file)


if __name__ == '__main__':
    with cli.short_errors():
        main()
