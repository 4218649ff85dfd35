"""Puts several runs side by side: Table 1 of the paper, as Markdown and HTML.

    python tools/report.py work_dirs/*/test_*.json --out report
    python tools/report.py "GAN + L1=a.json" "proxy MR2=b.json" --study scores.json

The HTML page is one file without outside resources; a click on a head sorts.
"""

import argparse
import json
import shutil
from pathlib import Path

from mmagic_mr import cli
from mmagic_mr.metrics.record import read_run
from mmagic_mr.reports import page


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
        '--paper', choices=sorted(page.PAPER), help="add the paper's own Table 1"
    )
    return parser.parse_args()


def read_runs(arguments):
    """Runs and the folders of their files."""
    runs, folders = [], []
    for argument in arguments:
        name, _, file = argument.rpartition('=')
        if not Path(file).is_file():
            name, file = '', argument
        run = read_run(file)
        if name:
            run['method'] = name
        runs.append(run)
        folders.append(Path(file).parent)
    return runs, folders


def read_realism(study, values):
    """Method to dict(mean, low, high); None without any."""
    found = {}
    if study:
        try:
            methods = json.loads(study.read_text(encoding='utf-8'))['methods']
            found = {name: scores['realism'] for name, scores in methods.items()}
        except (json.JSONDecodeError, KeyError, TypeError) as error:
            raise ValueError(f'{study} is no result of tools/study.py score') from error
    for text in values:
        name, _, value = text.rpartition('=')
        try:
            found[name] = dict(mean=float(value))
        except ValueError:
            raise ValueError(f'--realism {text}: NAME=NUMBER is needed') from None
    return found or None


def main():
    args = parse_args()
    runs, folders = read_runs(args.runs)
    realism = read_realism(args.study, args.realism)
    web = page.html_page(runs, folders, realism, args.paper)
    args.out.mkdir(parents=True, exist_ok=True)
    for i, (run, folder) in enumerate(zip(runs, folders, strict=True)):
        names = []
        for file in run['collages']:
            if (folder / file).is_file():
                names.append(f'{i}_{Path(file).name}')
                shutil.copy(folder / file, args.out / names[-1])
        run['collages'] = names
    for name, text in (
        ('report.html', web),
        ('report.md', page.markdown(runs, realism, args.paper)),
    ):
        (args.out / name).write_text(text, encoding='utf-8')
        print(args.out / name)


if __name__ == '__main__':
    with cli.short_errors():
        main()
