"""One run's numbers as a file that says how each was made. Standard library only."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import os
import platform
import tempfile
from importlib import metadata
from pathlib import Path

from mmagic_mr import __version__

SCHEMA = 1
PACKAGES = (
    'torch',
    'torchvision',
    'mmagic',
    'mmengine',
    'mmcv',
    'mmcv-lite',
    'numpy',
    'scipy',
    'lpips',
    'torch-fidelity',
)


@dataclasses.dataclass(frozen=True)
class Record:
    """One number, and everything needed to compare it with another.

    Args:
        group: 'diversity', 'calibration', 'fidelity' or 'reconstruction'.
        key: short name, unique within the group.
        name: what is printed.
        value: the number.
        better: 'higher', 'lower', or the value that an exact sampler would have.
        protocol: in words: which inputs, samples, pairs.
        network: features that it stands on; 'none'.
        range: range and order of the values that went in.
        inputs, samples: how many inputs, and how many samples of each.
        seed: of pairs, ties, bootstrap.
        low, high: 95% bootstrap interval over inputs, where there is one.
        unit: 'dB' or nothing.
        extra: whatever else belongs to it: ceiling, floor, verdict, histogram.
    """

    group: str
    key: str
    name: str
    value: float
    better: str
    protocol: str
    network: str
    range: str
    inputs: int
    samples: int
    seed: int
    low: float | None = None
    high: float | None = None
    unit: str = ''
    extra: dict = dataclasses.field(default_factory=dict)

    def scalars(self) -> dict:
        """What MMagic's evaluator prints: the value, its bounds, scalar extras."""
        found = {self.key: self.value}
        for name, value in dict(low=self.low, high=self.high, **self.extra).items():
            if value is not None and not isinstance(value, list | dict):
                found[f'{self.key}_{name}'] = value
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


def number(value: float | None, digits: int = 4) -> str:
    """For people: 'n/a' for what is not a number."""
    if value is None or not math.isfinite(value):
        return 'n/a' if value is None or math.isnan(value) else str(value)
    return f'{value:.{digits}f}'


def record_table(records: list[dict]) -> str:
    """Every number of a run, under a line that says how it was made."""
    blocks = {}
    for r in records:
        network = '' if r['network'] == 'none' else f' | {r["network"]}'
        made = (
            f'{r["group"]} | {r["protocol"]}{network} | {r["range"]} | '
            f'{r["inputs"]} inputs, K={r["samples"]}'
        )
        blocks.setdefault(made, []).append(r)
    parts = []
    for made, members in blocks.items():
        rows = [
            [
                r['name'],
                f'{number(r["value"])} {r["unit"]}'.strip(),
                interval(r),
                r['better'],
                notes(r),
            ]
            for r in members
        ]
        table = text_table(rows, ['what', 'value', '95% interval', 'better', ''])
        parts.append(f'{made}\n' + '\n'.join('  ' + row for row in table.split('\n')))
    return '\n\n'.join(parts)


def interval(record: dict) -> str:
    """[low, high], or nothing."""
    if record.get('low') is None:
        return ''
    return f'[{number(record["low"])}, {number(record["high"])}]'


def notes(record: dict) -> str:
    """Verdict, ceiling, floor: what has to stand beside the number."""
    extra = record['extra']
    found = [
        f'{key} {number(extra[key])}'
        for key in ('ceiling', 'floor')
        if extra.get(key) is not None
    ]
    return '; '.join([extra['verdict'], *found] if 'verdict' in extra else found)


def file_hash(path: str | os.PathLike) -> str:
    """SHA-256 of a file."""
    digest = hashlib.sha256()
    with open(path, 'rb') as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def versions() -> dict[str, str]:
    """Versions of what the numbers depend on, those that are installed."""
    found = {'mmagic_mr': __version__, 'python': platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def write_run(
    path: str | os.PathLike,
    *,
    method: str,
    records: list[Record],
    config_name: str,
    config_text: str,
    checkpoint: str | None,
    dataset: dict,
    seed: int | None,
    num_samples: int,
    collages: list[str] = (),
    other: dict | None = None,
) -> dict:
    """Write one run's numbers, and what they were made with, as JSON.

    Args:
        path: file to write; whole or not at all.
        method: name of the run in tables.
        records: of all metrics.
        config_name, config_text: the config, resolved.
        checkpoint: its file; only its name and hash are kept.
        dataset: type, root, size.
        seed: of the runner.
        num_samples: K drawn per input.
        collages: pictures, relative to the file's folder.
        other: numbers of other metrics of the evaluator.

    Returns:
        What was written.
    """
    run = dict(
        schema=SCHEMA,
        method=method,
        records=[_jsonable(dataclasses.asdict(r)) for r in records],
        other=_jsonable(other or {}),
        num_samples=num_samples,
        seed=seed,
        dataset=dataset,
        collages=list(collages),
        checkpoint=checkpoint
        and dict(file=Path(checkpoint).name, sha256=file_hash(checkpoint)),
        config=dict(name=config_name, text=config_text),
        versions=versions(),
    )
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, partial = tempfile.mkstemp(dir=path.parent, suffix='.part')
    with os.fdopen(handle, 'w', encoding='utf-8') as file:
        json.dump(run, file, indent=1, allow_nan=False)
    os.chmod(partial, 0o644)
    os.replace(partial, path)
    return run


def read_run(path: str | os.PathLike) -> dict:
    """Read what `write_run` wrote.

    Raises:
        ValueError: the file is not such a one, or of another schema.
    """
    try:
        run = json.loads(Path(path).read_text(encoding='utf-8'))
        schema = run['schema']
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError) as error:
        raise ValueError(f'{path} is no result of tools/test.py') from error
    if schema != SCHEMA:
        raise ValueError(
            f'{path} has schema {schema}, this version reads {SCHEMA}: '
            'run tools/test.py again'
        )
    return run


def _jsonable(value):
    """Plain types; nan and infinity, which JSON has not, become None."""
    if isinstance(value, dict):
        return {str(key): _jsonable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_jsonable(item) for item in value]
    if isinstance(value, bool | str | int) or value is None:
        return value
    value = float(value)
    return value if math.isfinite(value) else None
