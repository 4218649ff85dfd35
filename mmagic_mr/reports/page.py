"""Several runs side by side: Table 1 of the paper, as Markdown and as one HTML file."""

import base64
import html
import json
from pathlib import Path
from typing import NamedTuple

from mmagic_mr.metrics.record import interval, notes, number

# Lee, Ha, Kim, ICLR 2019, Table 1: method -> (realism, diversity).
PAPER = {
    'pix2pix-cityscapes': {
        'Random real data': (1.00, 0.559),
        'Pix2Pix + noise': (0.22, 0.004),
        'BicycleGAN': (0.16, 0.191),
        'Gaussian MR1': (0.54, 0.299),
        'Gaussian MR2': (0.14, 0.453),
        'Gaussian proxy MR1': (0.49, 0.519),
        'Gaussian proxy MR2': (0.44, 0.388),
        'Laplace MR1': (0.19, 0.393),
        'Laplace MR2': (0.20, 0.384),
        'Laplace proxy MR1': (0.19, 0.368),
        'Laplace proxy MR2': (0.17, 0.380),
    },
    'srgan-celeba': {
        'Random real data': (1.00, 0.290),
        'SRGAN + noise': (0.60, 0.005),
        'Gaussian proxy MR2': (0.52, 0.050),
    },
    'glcic-celeba': {
        'Random real data': (1.00, 0.426),
        'GLCIC + noise': (0.28, 0.004),
        'Gaussian proxy MR2': (0.33, 0.060),
    },
}
# Numbers for the main table beside realism and diversity: (group, start of key, head).
CHOSEN = (
    ('calibration', 'spread_skill', 'spread-skill (1)'),
    ('calibration', 'cells16/spread_skill', 'spread-skill, 16x16 (1)'),
    ('calibration', 'crps', 'fair CRPS (low)'),
    ('calibration', 'nll', 'NLL (low)'),
    ('calibration', 'gain', 'K-average gain'),
    ('fidelity', 'FID[', 'FID, NETWORK (low)'),
    ('fidelity', 'coverage[', 'coverage, NETWORK (high)'),
    ('reconstruction', 'PSNR_best', 'PSNR, best of K (high)'),
    ('reconstruction', 'LR-PSNR_mean', 'LR-PSNR (high)'),
)
REAL = 'Random real data'


class Cell(NamedTuple):
    """One number of the main table."""

    value: float | None = None
    text: str = ''
    note: str = ''


class Table(NamedTuple):
    """Methods by numbers, and what keeps the numbers from being compared."""

    heads: list[str]
    rows: dict[str, list[Cell]]
    warnings: list[str]


def make_table(runs: list[dict], realism: dict[str, dict] | None = None) -> Table:
    """Table 1's form: real data first, then each run; realism, diversity, then ours.

    Args:
        runs: results of `read_run`.
        realism: method to dict(mean, low, high) of the study; 'real' is 1 by design.

    Raises:
        ValueError: two runs have one name.
    """
    methods = [run['method'] for run in runs]
    repeated = sorted({m for m in methods if methods.count(m) > 1})
    if repeated:
        raise ValueError(
            f'{len(repeated)} methods have several runs: {repeated}; name '
            'them with NAME=FILE'
        )
    unknown = sorted(set(realism or {}) - set(methods) - {REAL})
    if unknown:
        raise ValueError(f'realism of {unknown}, and the runs are {methods}')
    columns = _columns(runs)
    heads = (['realism'] if realism else []) + [head for head, _ in columns]
    real = [Cell(1.0, '1.00')] if realism else []
    real += [_ceiling(runs, pick) for _, pick in columns]
    rows = {REAL: real} if any(cell.text for cell in real) else {}
    for run in runs:
        cells = [_realism_cell(realism.get(run['method']))] if realism else []
        rows[run['method']] = cells + [_cell(pick(run)) for _, pick in columns]
    return Table(heads, rows, _warnings(runs, columns))


def _columns(runs):
    """Heads, and functions from a run to its record or None."""
    diversity = []
    for run in runs:
        for record in run['records']:
            if record['group'] == 'diversity' and record['key'] not in diversity:
                diversity.append(record['key'])
    columns = []
    for key in diversity:
        protocol, name = key.split('/', 1)
        columns.append(
            (
                f'diversity, {name.replace("-", " ")}, {protocol}',
                _picker('diversity', key),
            )
        )
    for group, start, head in CHOSEN:
        pick = _picker(group, start)
        networks = sorted({r['network'] for run in runs if (r := pick(run))} - {'none'})
        if any(pick(run) for run in runs):
            columns.append((head.replace('NETWORK', ' / '.join(networks)), pick))
    return columns


def _picker(group, start):

    def pick(run):
        for record in run['records']:
            key = record['key']
            if start.endswith('['):  # the network's name follows
                key = key[: len(start)]
            if record['group'] == group and key == start:
                return record
        return None

    return pick


def _ceiling(runs, pick):
    for run in runs:
        record = pick(run)
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
    return Cell(value, number(value, digits), note)


def _realism_cell(score):
    if score is None:
        return Cell()
    note = ''
    if score.get('low') is not None:
        note = f'[{number(score["low"], 2)}, {number(score["high"], 2)}]'
    return Cell(score['mean'], number(score['mean'], 2), note)


def _warnings(runs, columns):
    found = []
    for head, pick in columns:
        records = [record for run in runs if (record := pick(run))]
        for field in ('network', 'protocol', 'range', 'inputs', 'samples', 'seed'):
            values = sorted({str(record[field]) for record in records})
            if len(values) > 1:
                found.append(
                    f'{head}: not comparable, {field} differs: {" / ".join(values)}'
                )
    for field in ('type', 'size', 'root'):
        values = sorted({str(run['dataset'].get(field)) for run in runs})
        if len(values) > 1:
            found.append(f'data set: {field} differs: {" / ".join(values)}')
    return found


def markdown(
    runs: list[dict], realism: dict | None = None, paper: str | None = None
) -> str:
    """The main table, the paper's, and every number's protocol, as Markdown."""
    table = make_table(runs, realism)
    parts = [
        '# Results',
        _markdown_table(
            ['method', *table.heads],
            [
                [
                    method,
                    *(f'{c.text}{f" ({c.note})" if c.note else ""}' for c in cells),
                ]
                for method, cells in table.rows.items()
            ],
        ),
    ]
    parts += [f'- **{warning}**' for warning in table.warnings]
    if paper:
        parts += [
            f'## Table 1 of the paper, {paper}',
            _markdown_table(
                ['method', 'realism', 'diversity (LPIPS)'],
                [
                    [method, f'{realism:.2f}', f'{diversity:.3f}']
                    for method, (realism, diversity) in PAPER[paper].items()
                ],
            ),
        ]
    for run in runs:
        parts += [
            f'## {run["method"]}',
            _made_with(run),
            _markdown_table(
                [
                    'number',
                    'value',
                    '95% interval',
                    'better',
                    'notes',
                    'network',
                    'range',
                    'protocol',
                    'inputs',
                    'K',
                ],
                [
                    [
                        r['name'],
                        f'{number(r["value"])} {r["unit"]}'.strip(),
                        interval(r),
                        r['better'],
                        notes(r),
                        r['network'],
                        r['range'],
                        r['protocol'],
                        str(r['inputs']),
                        str(r['samples']),
                    ]
                    for r in run['records']
                ],
            ),
        ]
        parts += [f'![{run["method"]}]({file})' for file in run['collages']]
    return '\n\n'.join(parts) + '\n'


def _markdown_table(heads, rows):
    lines = [heads, ['---'] * len(heads), *rows]
    return '\n'.join(
        '| ' + ' | '.join(c.replace('|', '\\|') for c in line) + ' |' for line in lines
    )


def _made_with(run):
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


def html_page(
    runs: list[dict],
    folders: list[Path],
    realism: dict | None = None,
    paper: str | None = None,
) -> str:
    """The same as one HTML file: sortable, with the collages, no outside resource.

    Args:
        folders: of each run's file, where its collages are.
    """
    table = make_table(runs, realism)
    body = [_html_table(table)]
    if table.warnings:
        items = ''.join(f'<li>{_text(warning)}</li>' for warning in table.warnings)
        body.append(f'<ul class="warning">{items}</ul>')
    if paper:
        rows = {
            method: [Cell(r, f'{r:.2f}'), Cell(d, f'{d:.3f}')]
            for method, (r, d) in PAPER[paper].items()
        }
        body.append(f'<h2>Table 1 of the paper, {_text(paper)}</h2>')
        body.append(_html_table(Table(['realism', 'diversity, LPIPS'], rows, [])))
    for run, folder in zip(runs, folders, strict=True):
        body.append(_html_run(run, folder))
    page = Path(__file__).with_name('page.html').read_text(encoding='utf-8')
    return page.replace('<!-- BODY -->', '\n'.join(body))


def _text(value):
    return html.escape(str(value), quote=True)


def _html_table(table):
    heads = ''.join(
        f'<th aria-sort="none"><button>{_text(head)}</button></th>'
        for head in ('method', *table.heads)
    )
    options = ''.join(
        f'<option value="{i}">{_text(head)}</option>'
        for i, head in enumerate(('method', *table.heads))
    )
    rows = []
    for method, cells in table.rows.items():
        columns = [f'<th scope="row" data-v="{_text(method)}">{_text(method)}</th>']
        for head, cell in zip(table.heads, cells, strict=True):
            note = f' <small>{_text(cell.note)}</small>' if cell.note else ''
            value = '' if cell.value is None else json.dumps(cell.value)
            columns.append(
                f'<td data-label="{_text(head)}" data-v="{value}">'
                f'{_text(cell.text) or "&ndash;"}{note}</td>'
            )
        rows.append(f'<tr>{"".join(columns)}</tr>')
    # Few columns fit a phone as they are; more become one card a method there.
    kind = 'sortable cards' if len(table.heads) > 3 else 'sortable'
    return (
        f'<div class="{kind}"><label class="phone">Sort by '
        f'<select>{options}</select></label><div class="scroll">'
        f'<table><thead><tr>{heads}</tr></thead><tbody>{"".join(rows)}</tbody>'
        '</table></div></div>'
    )


def _html_run(run, folder):
    parts = [f'<section><h2>{_text(run["method"])}</h2>']
    for file in run['collages']:
        picture = _embedded(folder / file)
        if picture:
            words = _text(f'inputs, moments and samples of {run["method"]}')
            parts.append(
                f'<div class="scroll"><img alt="{words}" src="{picture}"></div>'
            )
    histograms = [
        f'<figure>{_bars(r["extra"]["ranks"])}<figcaption>{_text(r["protocol"])}'
        '</figcaption></figure>'
        for r in run['records']
        if r['extra'].get('ranks')
    ]
    if histograms:
        parts.append(
            '<details open><summary>Rank of the held-out target among the '
            'samples (flat: calibrated; high at both ends: too little spread)'
            f'</summary><div class="figures">{"".join(histograms)}</div>'
            '</details>'
        )
    parts.append(
        '<details><summary>Every number, and how it was made</summary>'
        f'{_html_records(run["records"])}</details>'
    )
    parts.append(f'<p class="made">{_text(_made_with(run))}</p>')
    parts.append(
        '<details><summary>Config</summary><pre>'
        f'{_text(run["config"]["text"])}</pre></details></section>'
    )
    return '\n'.join(parts)


def _html_records(records):
    blocks = {}
    for r in records:
        network = '' if r['network'] == 'none' else f' · {r["network"]}'
        made = (
            f'{r["group"]} · {r["protocol"]}{network} · {r["range"]} · '
            f'{r["inputs"]} inputs, K={r["samples"]}'
        )
        blocks.setdefault(made, []).append(r)
    parts = []
    for made, members in blocks.items():
        rows = ''.join(
            f'<tr><td>{_text(r["name"])}</td><td>{number(r["value"])} {r["unit"]} '
            f'{interval(r)}</td><td>{_text(notes(r) or "better: " + r["better"])}</td>'
            '</tr>'
            for r in members
        )
        parts.append(f'<h3>{_text(made)}</h3><table class="plain">{rows}</table>')
    return ''.join(parts)


def _bars(shares):
    """A rank histogram; the line is where all bars would be if it were flat."""
    width, height = 220, 70
    step, top = width / len(shares), max(*shares, 2 / len(shares))
    bars = ''.join(
        f'<rect x="{i * step:.1f}" y="{height * (1 - share / top):.1f}" '
        f'width="{step * 0.9:.1f}" height="{height * share / top:.1f}"/>'
        for i, share in enumerate(shares)
    )
    due = height * (1 - 1 / len(shares) / top)
    line = f'<line x1="0" x2="{width}" y1="{due:.1f}" y2="{due:.1f}"/>'
    return (
        f'<svg viewBox="0 0 {width} {height}" role="img" '
        f'aria-label="rank histogram">{bars}{line}</svg>'
    )


def _embedded(file: Path) -> str | None:
    """A picture as a data URI; a large one as JPEG, for phones."""
    if not file.is_file():
        return None
    data, kind = file.read_bytes(), 'png'
    if len(data) > 500_000:
        import io

        from PIL import Image

        buffer = io.BytesIO()
        Image.open(file).convert('RGB').save(buffer, 'JPEG', quality=88)
        data, kind = buffer.getvalue(), 'jpeg'
    return f'data:image/{kind};base64,{base64.b64encode(data).decode()}'
