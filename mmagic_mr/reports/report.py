"""A report of several runs in a folder: HTML, Markdown and the pictures."""

import math
import shutil
from collections.abc import Sequence
from pathlib import Path

from mmagic_mr.checks import check_kind, shown
from mmagic_mr.errors import UserError
from mmagic_mr.io import atomic_path, read_json, write_text
from mmagic_mr.reports.page import html_page
from mmagic_mr.reports.results import check_interval, collage_files, read_run
from mmagic_mr.reports.table import markdown


def write_report(
    arguments: Sequence[str],
    out: Path,
    study: Path | None = None,
    realism: Sequence[str] = (),
    paper: str | None = None,
) -> list[Path]:
    """Write `report.html`, `report.md` and the collages that it shows.

    Args:
        arguments: files of `tools/test.py`; 'NAME=FILE' names the method anew.
        out: folder to write into.
        study: file of `tools/study.py score`, for the realism.
        realism: 'NAME=VALUE', realism of a method from elsewhere.
        paper: one of `TABLE_1`, to stand below.

    Returns:
        The two files.

    Raises:
        UserError: a file is not what it should be, or two runs have one name.
    """
    runs, folders = read_runs(arguments)
    scores = read_realism(study, realism)
    # All is made before anything is written: half a report would pass for a whole one.
    web = html_page(runs, folders, scores, paper)
    shown = []
    for i, (run, folder) in enumerate(zip(runs, folders, strict=True)):
        files = {f'{i}_{file.name}': file for file in collage_files(run, folder)}
        for name, file in files.items():
            with atomic_path(out / name) as unfinished:
                shutil.copyfile(file, unfinished)
        shown.append({**run, 'collages': list(files)})
    texts = {'report.html': web, 'report.md': markdown(shown, scores, paper)}
    for name, text in texts.items():
        write_text(out / name, text)
    return [out / name for name in texts]


def read_runs(arguments: Sequence[str]) -> tuple[list[dict], list[Path]]:
    """Runs of '[NAME=]FILE', and the folders of their files."""
    runs, folders = [], []
    for argument in map(str, arguments):
        name, _, file = argument.rpartition('=')
        if not Path(file).is_file():
            name, file = '', argument
        run = read_run(file)
        if name:
            run['method'] = name
        runs.append(run)
        folders.append(Path(file).parent)
    return runs, folders


def read_realism(study: Path | None, values: Sequence[str]) -> dict[str, dict] | None:
    """Realism of the methods, dict(mean, low, high) each; None: nothing is known.

    Args:
        study: file of `tools/study.py score`.
        values: 'NAME=VALUE', which go before those of the study.

    Example:
        >>> read_realism(None, ['GAN=0.2'])
        {'GAN': {'mean': 0.2}}
    """
    found = {}
    if study:
        what = 'result of tools/study.py score'
        scores = read_json(study, what)
        try:
            found = {name: s['realism'] for name, s in scores['methods'].items()}
            for name, realism in found.items():
                bounds = dict(low=realism.get('low'), high=realism.get('high'))
                check_kind(f'realism of {name}', realism['mean'], float)
                check_kind(f'interval of {name}', bounds, dict[str, float | None])
                check_interval(f'realism of {name}', **bounds)
        except (KeyError, TypeError, AttributeError, UserError) as error:
            raise UserError(f'{study} is no {what}: {shown(error)}') from error
    for text in values:
        name, _, value = text.rpartition('=')
        try:
            mean = float(value)
        except ValueError:
            mean = math.nan
        if not name or not math.isfinite(mean):
            raise UserError(f'--realism {text}: NAME=NUMBER is needed')
        found[name] = dict(mean=mean)
    return found or None
