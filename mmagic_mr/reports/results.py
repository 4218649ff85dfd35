"""One run's numbers as a JSON file that says how each was made."""

import dataclasses
import hashlib
import itertools
import json
import math
import os
import platform
from collections.abc import Sequence
from dataclasses import MISSING
from importlib import metadata
from pathlib import Path
from typing import get_type_hints

from mmagic_mr import __version__
from mmagic_mr.checks import check_kind, shown
from mmagic_mr.data.pictures import open_picture
from mmagic_mr.errors import MissingFileError, UserError
from mmagic_mr.io import is_image, read_json, write_text
from mmagic_mr.metrics.record import Record

SCHEMA = 2
FIELDS = dict(
    method=str,
    records=list[dict],
    num_samples=int | None,
    seed=int | None,
    collages=list[str],
    checkpoint=dict[str, str] | None,
    config=dict[str, str],
    dataset=dict,
    versions=dict[str, str],
)
EXTRA = dict(
    ceiling=float | None,
    floor=float | None,
    exact=float | None,
    verdict=str,
    ranks=list[float] | None,
    pit=list[float],
    curve=dict,
    references=dict[str, float | None],
)
CURVE = dict(title=str, x=list[float], y=list[float], due=list[float], doubling=bool)
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
    collages: Sequence[str] = (),
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
    write_text(path, json.dumps(run, indent=1, allow_nan=False))
    return run


def read_run(path: str | os.PathLike) -> dict:
    """Read what `write_run` wrote.

    Raises:
        MissingFileError: there is no such file.
        UserError: it is no such result, or of another schema.
    """
    if not Path(path).is_file():
        raise MissingFileError(f'no result {path}')
    run = read_json(path, 'result of tools/test.py')
    if not isinstance(run, dict) or 'schema' not in run:
        raise UserError(f'{path} is no result of tools/test.py')
    schema = run['schema']
    if schema != SCHEMA:
        raise UserError(
            f'{path} has schema {shown(schema)}, this version reads {SCHEMA}: '
            'run tools/test.py again'
        )
    try:
        _check_fields('it', run, FIELDS)
        _check_fields('its config', run['config'], dict(name=str, text=str))
        _check_fields('its data set', {'root': '', **run['dataset']}, dict(root=str))
        if run['checkpoint'] is not None:
            kinds = dict(file=str, sha256=str)
            _check_fields('its checkpoint', run['checkpoint'], kinds)
        if not run['method'].strip():
            raise UserError('its method has no name')
        run['records'] = [_check_record(record) for record in run['records']]
    except UserError as error:
        raise UserError(
            f'{path} is no whole result of tools/test.py: {error}'
        ) from error
    run['method'] = ' '.join(run['method'].split())  # a name is one line
    return run


def collage_files(run: dict, folder: str | os.PathLike) -> list[Path]:
    """The collages of a run that are there.

    A result may come from someone else: it must not bring other files of the reader's
    machine into a report that is then passed on.

    Args:
        run: what `read_run` gave.
        folder: of the run's file.

    Raises:
        UserError: a collage is not in that folder, or is no image.
    """
    found = []
    for name in run['collages']:
        path = Path(folder, name)
        try:
            inside = path.resolve().is_relative_to(Path(folder).resolve())
        except (ValueError, OSError):  # a name that no file can have
            inside = False
        if not inside or not is_image(path):
            raise UserError(
                f'collage {name!r} of {run["method"]!r} is no image in the folder of '
                f'its result ({folder}): take it out of the file\'s "collages"'
            )
        if path.is_file():
            _check_image(path, name)
            found.append(path)
    return found


def _check_image(path, name):
    try:
        with open_picture(path) as image:
            image.load()
    except UserError as error:
        raise UserError(f'collage {name!r}: {error}') from error


def _check_fields(owner, fields, kinds):
    """Refuse fields that are missing, or not of their kind."""
    for name, kind in kinds.items():
        if name not in fields:
            raise UserError(f'{owner} has no {name!r}')
        check_kind(f'{name} of {owner}', fields[name], kind)


def _check_record(fields: dict) -> dict:
    """All fields of a record, with the defaults of those that it leaves out.

    Raises:
        UserError: an unknown field, one that is missing, one of another kind.
    """
    defaults = {field.name: _default(field) for field in dataclasses.fields(Record)}
    for name in fields:
        if name not in defaults:
            raise UserError(f'a record has an unknown {name!r}')
    known = {n: value for n, value in defaults.items() if value is not MISSING}
    fields = known | fields
    owner = shown(fields.get('key'))
    _check_fields(owner, fields, {**get_type_hints(Record), 'value': float | None})
    extra = fields['extra']
    _check_fields(owner, extra, {n: kind for n, kind in EXTRA.items() if n in extra})
    check_interval(owner, fields.get('low'), fields.get('high'))
    for name in 'ranks', 'pit':
        shares = extra.get(name)
        if shares and not (
            min(shares) >= 0 and math.isclose(sum(shares), 1, abs_tol=0.01)
        ):
            raise UserError(
                f'{name} of {owner} are no shares of a whole: {shown(shares)}'
            )
    if 'curve' in extra:
        _check_curve(f'the curve of {owner}', extra['curve'])
    return fields


def _check_curve(owner, curve):
    """Refuse a curve that cannot be drawn; `due` and `doubling` may be left out."""
    whole = {'due': curve.get('y'), 'doubling': False, **curve}
    _check_fields(owner, whole, CURVE)
    x = curve['x']
    if any(len(whole[name]) != len(x) for name in ('y', 'due')):
        raise UserError(f'{owner} has not as many y, or due, as x')
    rises = all(a < b for a, b in itertools.pairwise(x))
    if not rises or len(x) < 2 or (whole['doubling'] and x[0] <= 0):
        raise UserError(
            f'x of {owner} does not rise, from above 0 if doubling: {shown(x)}'
        )


def _default(field):
    if field.default_factory is not MISSING:
        return field.default_factory()
    return field.default


def check_interval(owner: str, low: float | None, high: float | None) -> None:
    """Refuse one end of an interval without the other.

    Raises:
        UserError: there is one alone.
    """
    if (low is None) != (high is None):
        raise UserError(f'{owner} has one end of an interval, low or high, alone')


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
