"""A matrix of runs and seeds: what is missing is run, then put into one table.

The running is left to GNU make, which the project needs anyway: it starts as many
processes as asked, goes on with the others where one fails, ends its children when it
is interrupted, and, started again, makes what is not there yet. A training that was
killed resumes from its checkpoint.
"""

import json
import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from mmagic_mr.checks import Natural, check_kind
from mmagic_mr.errors import MissingFileError, UserError
from mmagic_mr.io import read_json, write_text
from mmagic_mr.reports.study_picture import Cut, draw_side_by_side
from mmagic_mr.reports.study_plot import draw_along, place_of

SECONDS = 'seconds'  # column of the processor time of the training


@dataclass(frozen=True)
class Run:
    """One row of a study.

    Attributes:
        name: Its place, groups before it: 'sr/CRPS'.
        config: File that it is derived from, of the folder configs/.
        changes: What differs, as in a config.
        seeds: Of its trainings.
        start: Name of the run from whose last checkpoint it starts, of the same seed.
        judged_as: Name of the run with whose config it is judged: of one that trains a
            class of MMagic's own.
    """

    name: str
    config: str
    changes: dict = field(default_factory=dict)
    seeds: tuple[int, ...] = (0,)
    start: str | None = None
    judged_as: str | None = None

    def folder(self, seed: int) -> Path:
        """Where a training lies, below the folder of the study."""
        return Path(*map(_as_file, self.name.split('/')), str(seed))


@dataclass(frozen=True)
class Study:
    """What a file of configs/studies says.

    Attributes:
        name: Of the file.
        runs: In the order of the table.
        numbers: Key of a record of tools/test.py, group before it -> head of the
            column.
        expected: What was expected before there were results, in words.
        prepare: Commands that make the data, with the place {tools}.
        judge: Command that writes the result of a training, with the places
            {tools}, {config}, {checkpoint}, {out}, {logs}, {name} and {group}.
        cuts: Parts of the picture that ``judge`` may leave beside a result, which show
            the runs side by side: head -> (left, top, right, bottom) in pixels.
        along: Of runs that are named ``GROUP/K = 6``: 'K', and all numbers are drawn
            against it; '': there is none.
    """

    name: str
    runs: list[Run]
    numbers: dict[str, str]
    expected: str
    prepare: tuple[str, ...] = ()
    judge: str = (
        '{tools}/test.py {config} {checkpoint} --out {out} --work-dir {logs} '
        '--method {name}'
    )
    cuts: dict[str, Cut] = field(default_factory=dict)
    along: str = ''

    def columns(self) -> dict[str, str]:
        """Key -> head, the time of the training too."""
        return {**self.numbers, SECONDS: 'processor time of the training [s]'}

    def cells(self) -> list[tuple[Run, int]]:
        """Every training, the first seed of all runs before the second of any."""
        seeds = sorted({seed for run in self.runs for seed in run.seeds})
        return [(run, seed) for seed in seeds for run in self.runs if seed in run.seeds]


def read_study(path: str | os.PathLike) -> Study:
    """The study in a file: a config with ``runs``, ``numbers`` and ``expected``.

    Raises:
        MissingFileError: There is no such file.
        UserError: Something of it is missing, or of another type.
    """
    from mmengine.config import Config

    if not Path(path).is_file():
        raise MissingFileError(f'no study {path}')
    cfg = Config.fromfile(path).to_dict()
    for key, kind in dict(
        runs=dict[str, dict], numbers=dict[str, str], expected=str
    ).items():
        if key not in cfg:
            raise UserError(f'{path}: a study has {key}, and this one does not')
        check_kind(f'{path}: {key}', cfg[key], kind)
    runs = []
    for name, options in cfg['runs'].items():
        known = {'config', 'changes', 'seeds', 'start', 'judged_as'}
        if options.keys() - known or 'config' not in options:
            raise UserError(
                f'{path}: runs[{name!r}] must be dict(config=..., changes=dict(...), '
                f'seeds=(0, ...), start=NAME, judged_as=NAME), got {options}'
            )
        seeds = tuple(options.get('seeds', (0,)))
        check_kind(f'{path}: runs[{name!r}]: seeds', seeds, tuple[Natural, ...])
        runs.append(Run(**{**options, 'name': name, 'seeds': seeds}))
    for run in runs:
        _check_others(path, run, {other.name: other for other in runs})
    options = 'prepare', 'judge', 'cuts', 'along'
    more = {key: cfg[key] for key in options if key in cfg}
    check_kind(f'{path}: cuts', cfg.get('cuts', {}), dict[str, Cut])
    if 'along' in cfg:
        check_kind(f'{path}: along', cfg['along'], str)
        for run in runs:
            place_of(run.name, cfg['along'])
    return Study(Path(path).stem, runs, cfg['numbers'], cfg['expected'], **more)


def _check_others(path, run: Run, runs: dict[str, Run]) -> None:
    """Refuse a run that needs another one which is not there."""
    for key in 'start', 'judged_as':
        other = getattr(run, key)
        if other is None:
            continue
        if other not in runs or other == run.name:
            raise UserError(
                f'{path}: runs[{run.name!r}]: {key}: no other run {other!r}'
            )
        missing = sorted(set(run.seeds) - set(runs[other].seeds))
        if missing:
            raise UserError(
                f'{path}: runs[{run.name!r}]: {key}: {other!r} has no seed {missing[0]}'
            )


def write_cells(study: Study, root: Path, out: Path) -> None:
    """A config for each training, and the Makefile that runs them.

    Args:
        study: What is to be run.
        root: Folder that holds ``tools`` and ``configs``.
        out: Folder of the study's trainings.

    Raises:
        UserError: A training has begun with another config.
    """
    for run, seed in study.cells():
        folder = out / run.folder(seed)
        base = os.path.relpath(root / 'configs' / run.config, folder.parent)
        lines = [f'_base_ = {base!r}']
        lines += [f'{key} = {value!r}' for key, value in run.changes.items()]
        text = '\n'.join([*lines, f'randomness = dict(seed={seed})', ''])
        config = _config(folder)
        if (folder / 'output.txt').is_file() and config.read_text() != text:
            raise UserError(
                f'{folder} was trained with another config than the study has now: '
                'remove the folder, or name the run otherwise'
            )
        write_text(config, text)
    write_text(out / 'Makefile', _makefile(study, root.resolve(), out))


def _as_file(words: str) -> str:
    """A name for a file."""
    return re.sub(r'[^\w.]+', '-', words).strip('-')


def _config(cell: Path) -> Path:
    """Beside the folder of a training: mmengine writes the whole one into it."""
    return cell.with_suffix('.py')


def _makefile(study: Study, root: Path, out: Path) -> str:
    """How each training is made and judged; paths as of the current folder."""
    python, tools = shlex.quote(sys.executable), root / 'tools'
    data = [f'\t{python} {c.format(tools=tools)}\n' for c in study.prepare]
    rules = [f'{out}/data:\n{"".join(data)}\t@touch $@\n']
    runs = {run.name: run for run in study.runs}
    for run, seed in study.cells():
        cell = out / run.folder(seed)
        needed, start = f'{out}/data', ''
        if run.start:
            before = out / runs[run.start].folder(seed)
            needed += f' {before}/result.json'
            start = f' --cfg-options load_from={_checkpoint(before)}'
        as_run = runs[run.judged_as] if run.judged_as else run
        # The lock: a training that outlived its make is waited for
        guard = f'flock {cell}/lock bash -c'
        train = (
            f'TIMEFORMAT=%U; {{ time {python} {tools}/train.py {_config(cell)} '
            f'--work-dir {cell} --resume{start} >> {cell}/output.txt 2>&1; }} '
            f'2>> {cell}/seconds'
        )
        judge = study.judge.format(
            tools=tools,
            config=_config(out / as_run.folder(seed)),
            checkpoint=_checkpoint(cell),
            out=cell / 'result.json',
            logs=cell / 'test',
            name=shlex.quote(run.name),
            group=shlex.quote(_group(run.name)),
        )
        test = f'{python} {judge} > {cell}/test.txt 2>&1'
        # One target a training: its result comes before the next training
        rules.append(
            f'{cell}/result.json: | {needed}\n\t@mkdir -p {cell}\n'
            f'\t@echo "$$(date +%T) starts {cell}"\n'
            f'\t@test -e {cell}/trained || {guard} {shlex.quote(train)}\n'
            f'\t@touch {cell}/trained\n'
            f'\t@{guard} {shlex.quote(test)}\n'
            f'\t@echo "$$(date +%T) done   {cell}"\n'
        )
    results = [f'{out / run.folder(seed)}/result.json' for run, seed in study.cells()]
    return '\n'.join(['all: ' + ' '.join(results), '', *rules])


def _checkpoint(cell: Path) -> str:
    """The last checkpoint of a training, for the shell of a Makefile."""
    return f'{cell}/$$(basename "$$(cat {cell}/last_checkpoint)")'


def run_missing(out: Path, jobs: int) -> bool:
    """Run what is missing.

    Args:
        out: Folder of the study, of `write_cells`.
        jobs: Processes at a time; the cores are shared out among them.

    Returns:
        Whether all of it is there now.
    """
    threads = max(1, len(os.sched_getaffinity(0)) // jobs)
    environment = {**os.environ, 'OMP_NUM_THREADS': str(threads)}
    command = ['make', '-k', '-j', str(jobs), '-f', str(out / 'Makefile')]
    return subprocess.run(command, env=environment, check=False).returncode == 0


def collect(study: Study, out: Path) -> dict[str, Any]:
    """The numbers of all trainings that are there, by run, column and seed."""
    table: dict[str, Any] = {}
    for run in study.runs:
        rows: dict[str, dict[int, float]] = {}
        for seed in run.seeds:
            folder = out / run.folder(seed)
            if not (folder / 'result.json').is_file():
                continue
            records = read_json(folder / 'result.json', 'result')['records']
            found = {f'{r["group"]}/{r["key"]}': r['value'] for r in records}
            for key in study.numbers:
                if key in found:
                    rows.setdefault(key, {})[seed] = found[key]
            # Beside them, what the shell says of a training that was killed
            times = re.findall(r'^[\d.]+$', (folder / 'seconds').read_text(), re.M)
            rows.setdefault(SECONDS, {})[seed] = round(sum(map(float, times)), 1)
        table[run.name] = rows
    return table


def as_markdown(study: Study, table: dict[str, Any]) -> str:
    """The table: mean over the seeds, and the standard deviation of several."""
    columns = study.columns()
    lines = []
    for group in dict.fromkeys(_group(run.name) for run in study.runs):
        heads = [group, 'seeds', *columns.values()]
        lines += ['', f'| {" | ".join(heads)} |', '|---' * len(heads) + '|']
        for run in study.runs:
            rows = table[run.name]
            if _group(run.name) != group or not rows:
                continue
            cells = [_cell(rows.get(key, {}).values(), key) for key in columns]
            name = run.name.removeprefix(f'{group}/')
            lines.append(f'| {" | ".join([name, str(len(rows[SECONDS])), *cells])} |')
    return '\n'.join(lines[1:]) + '\n'


def _group(name: str) -> str:
    """What stands before the last part of a run's name: 'sr' of 'sr/CRPS'."""
    return name.rpartition('/')[0]


def _cell(values, key: str) -> str:
    values = list(values)
    if not values:
        return ''
    # Two digits that count, down to the third place
    digits = 0 if key == SECONDS else 3 if abs(mean(values)) < 0.0995 else 2
    text = f'{mean(values):.{digits}f}'
    return f'{text} ± {stdev(values):.{digits}f}' if len(values) > 1 else text


def draw_groups(study: Study, out: Path, target: Path) -> dict[str, Path]:
    """A picture for each group: of each run, the first seed that has one.

    Returns:
        The files, by group; none for a study without ``cuts``.
    """
    groups: dict[str, dict[str, Path]] = {}
    for run, seed in study.cells():
        group, _, name = run.name.rpartition('/')
        picture = out / run.folder(seed) / 'result.png'
        if study.cuts and picture.is_file():
            groups.setdefault(group, {}).setdefault(name, picture)
    files = {}
    for group, rows in groups.items():
        ending = ''.join(f'_{_as_file(part)}' for part in group.split('/') if part)
        files[group] = target.with_name(f'{target.name}{ending}.png')
        draw_side_by_side(rows, study.cuts, files[group])
    return files


def write_results(study: Study, out: Path, target: Path) -> list[Path]:
    """Write the table as Markdown, all numbers as JSON, pictures of the runs, a plot.

    Returns:
        The files.
    """
    table = collect(study, out)
    summary = dict(study=study.name, expected=study.expected, results=table)
    files = [target.with_suffix('.md'), target.with_suffix('.json')]
    command = f'`python tools/compare.py configs/studies/{study.name}.py`'
    text = f'Made by {command}; ± is the standard deviation over the seeds.\n\n'
    pictures = draw_groups(study, out, target)
    if study.along:
        against = pictures['All numbers'] = target.with_name(f'{target.name}.png')
        draw_along(table, study.columns(), study.along, against)
    shown = [f'\n![{group}]({file.name})\n' for group, file in pictures.items()]
    write_text(files[0], text + as_markdown(study, table) + ''.join(shown))
    write_text(files[1], json.dumps(summary, indent=1) + '\n')
    return [*files, *pictures.values()]
