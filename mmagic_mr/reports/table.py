"""Several runs side by side, as the paper's Table 1 has them: text and Markdown."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from mmagic_mr.errors import UserError
from mmagic_mr.metrics.record import by_making, interval, measured, notes, number
from mmagic_mr.reports.paper import REAL, TABLE_1

# What has to be the same for two numbers of a column, or two runs, to be compared
SAME_IN_COLUMN = ('network', 'protocol', 'range', 'inputs', 'samples', 'seed')
SAME_DATASET = ('type', 'size', 'root')


class Cell(NamedTuple):
    """One number of the main table."""

    value: float | None = None
    text: str = ''
    note: str = ''


class Column(NamedTuple):
    """One number of every run: its head, and what finds it in a run."""

    head: str
    pick: Callable[[dict], dict | None]


class Table(NamedTuple):
    """Methods by numbers, and what keeps the numbers from being compared."""

    heads: list[str]
    rows: dict[str, list[Cell]]
    warnings: list[str]


def make_table(runs: list[dict], realism: dict[str, dict] | None = None) -> Table:
    """The main table: real data first, then each run; realism, diversity, the rest.

    The columns are the numbers that have a headline.

    Args:
        runs: results of `read_run`.
        realism: method to dict(mean, low, high) of the study; 'real' is 1 by design.

    Raises:
        UserError: two runs have one name, or one that of the real data; the realism is
            of no run.
    """
    methods = [run['method'] for run in runs]
    repeated = sorted({m for m in methods if methods.count(m) > 1})
    if repeated:
        raise UserError(
            f'{len(repeated)} methods have several runs: {repeated}; name '
            'them with NAME=FILE'
        )
    if REAL in methods:
        raise UserError(
            f'a run is named {REAL!r}, which is the row of the data themselves; name '
            'it with NAME=FILE'
        )
    unknown = sorted(set(realism or {}) - set(methods) - {REAL})
    if unknown:
        raise UserError(f'realism of {unknown}, and the runs are {methods}')
    columns = _columns(runs)
    heads = (['realism'] if realism else []) + [column.head for column in columns]
    real = [Cell(1.0, '1.00')] if realism else []
    real += [_ceiling(runs, column) for column in columns]
    rows = {REAL: real} if any(cell.text for cell in real) else {}
    for run in runs:
        cells = [_realism_cell(realism.get(run['method']))] if realism else []
        rows[run['method']] = cells + [_cell(column.pick(run)) for column in columns]
    return Table(heads, rows, _warnings(runs, columns))


def paper_table(experiment: str) -> Table:
    """The paper's own Table 1 for one of `TABLE_1`."""
    rows = {
        method: [
            Cell(score.realism, f'{score.realism:.2f}'),
            Cell(score.diversity, f'{score.diversity:.3f}'),
        ]
        for method, score in TABLE_1[experiment].items()
    }
    return Table(['realism', 'diversity (LPIPS)'], rows, [])


def _columns(runs):
    """The headlines of all runs, those of diversity first, as in the paper."""
    found: dict[tuple[str, str], set[str]] = {}  # group and headline: networks
    for run in runs:
        for record in run['records']:
            if record['headline']:
                column = record['group'], record['headline']
                found.setdefault(column, set()).add(record['network'])
    order = sorted(found, key=lambda column: column[0] != 'diversity')
    return [
        Column(
            headline.replace('{network}', ' / '.join(sorted(found[group, headline]))),
            _picker(group, headline),
        )
        for group, headline in order
    ]


def _picker(group, headline):
    def pick(run):
        for record in run['records']:
            if (record['group'], record['headline']) == (group, headline):
                return record
        return None

    return pick


def _ceiling(runs, column):
    for run in runs:
        record = column.pick(run)
        if record and record['extra'].get('ceiling') is not None:
            value = record['extra']['ceiling']
            return Cell(value, number(value, 3))
    return Cell()


def _cell(record):
    if record is None:
        return Cell()
    value = record['value']
    digits = 3 if value is None or abs(value) < 100 else 1
    note = record['extra'].get('verdict', '')
    if 'exact' in record['extra']:
        note = f'exact {number(record["extra"]["exact"], 3)}'
    if record['better'] == 'the floor':
        note = f'floor {number(record["extra"].get("floor"), 3)}'
    return Cell(value, number(value, digits), note)


def _realism_cell(score):
    if score is None:
        return Cell()
    note = ''
    if score.get('low') is not None:
        note = f'[{number(score["low"], 2)}, {number(score.get("high"), 2)}]'
    return Cell(score['mean'], number(score['mean'], 2), note)


def _warnings(runs, columns):
    found = []
    for head, pick in columns:
        records = [record for run in runs if (record := pick(run))]
        for field in SAME_IN_COLUMN:
            values = sorted({str(record[field]) for record in records})
            if len(values) > 1:
                found.append(
                    f'{head}: not comparable, {field} differs: {" / ".join(values)}'
                )
    for field in SAME_DATASET:
        values = sorted({str(run['dataset'].get(field)) for run in runs})
        if len(values) > 1:
            found.append(f'data set: {field} differs: {" / ".join(values)}')
    return found


def text_table(rows: list[list[str]], header: list[str]) -> str:
    """Columns aligned with spaces.

    Example:
        >>> print(text_table([['LPIPS', '0.45']], ['what', 'value']))
        what   value
        -----  -----
        LPIPS  0.45
    """
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    rows = [header, ['-' * width for width in widths], *rows]
    return '\n'.join(
        '  '.join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def headline_table(run: dict) -> str:
    """The numbers of a run that tables of several runs show, as text.

    Of a group without a headline, such as a metric of one's own, all.
    """
    rows, shown = [], set()
    for column in _columns([run]):
        record = column.pick(run)
        cell = _cell(record)
        shown.add(record['group'])
        rows.append([column.head, cell.text, cell.note])
    others = [r for r in run['records'] if r['group'] not in shown]
    rows += [[r['name'], measured(r), notes(r)] for r in others]
    return text_table(rows, ['what', 'value', ''])


def record_table(records: list[dict]) -> str:
    """Every number of a run as text, under a line that says how it was made."""
    parts = []
    for made, members in by_making(records).items():
        rows = [
            [r['name'], measured(r), interval(r), r['better'], notes(r)]
            for r in members
        ]
        table = text_table(rows, ['what', 'value', '95% interval', 'better', ''])
        parts.append(f'{made}\n' + '\n'.join('  ' + row for row in table.split('\n')))
    return '\n\n'.join(parts)


def made_with(run: dict) -> str:
    """Config, checkpoint, data, seed and versions of a run, in one sentence."""
    checkpoint = run['checkpoint'] or dict(file='none', sha256='')
    packages = ', '.join(f'{k} {v}' for k, v in run['versions'].items())
    dataset = run['dataset']
    folder = '/'.join(Path(dataset.get('root', '')).parts[-2:])
    data = f'{folder} ({dataset.get("type")}, {dataset.get("size")} inputs)'
    return (
        f'Config {run["config"]["name"]}; checkpoint {checkpoint["file"]} '
        f'{checkpoint["sha256"][:12]}; data {data}; K={run["num_samples"]}, seed '
        f'{run["seed"]}; {packages}'
    )


def markdown(
    runs: list[dict], realism: dict | None = None, paper: str | None = None
) -> str:
    """The main table, the paper's, and every number's protocol, as Markdown."""
    table = make_table(runs, realism)
    parts = ['# Results', _markdown_table(table)]
    parts += [f'- **{_plain(warning)}**' for warning in table.warnings]
    if paper:
        parts += [
            f'## Table 1 of the paper, {paper}',
            _markdown_table(paper_table(paper)),
        ]
    for run in runs:
        name = _plain(run['method'])
        parts += [f'## {name}', _plain(made_with(run)), _markdown_records(run)]
        parts += [f'![{name}]({quote(file)})' for file in run['collages']]
    return '\n\n'.join(parts) + '\n'


def _markdown_table(table):
    return _markdown_rows(
        ['method', *table.heads],
        [
            [method, *(f'{c.text}{f" ({c.note})" if c.note else ""}' for c in cells)]
            for method, cells in table.rows.items()
        ],
    )


def _markdown_records(run):
    return _markdown_rows(
        [
            *('number', 'value', '95% interval', 'better', 'notes'),
            *('network', 'range', 'protocol', 'inputs', 'K'),
        ],
        [
            [
                *(r['name'], measured(r), interval(r), r['better'], notes(r)),
                *(r['network'], r['range'], r['protocol'], r['inputs'], r['samples']),
            ]
            for r in run['records']
        ],
    )


def _markdown_rows(heads, rows):
    lines = [heads, ['---'] * len(heads), *rows]
    return '\n'.join(
        '| ' + ' | '.join(_plain(cell).replace('|', '\\|') for cell in line) + ' |'
        for line in lines
    )


def _plain(text):
    """A text as one line without HTML, which Markdown would let through."""
    return ' '.join(str(text).replace('&', '&amp;').replace('<', '&lt;').split())
