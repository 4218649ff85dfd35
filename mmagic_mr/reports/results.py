"""One run's numbers as a JSON file that says how each was made."""

import dataclasses
import hashlib
import json
import math
import os
import platform
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

from mmagic_mr import __version__
from mmagic_mr.data.pictures import open_picture
from mmagic_mr.errors import MissingFileError, UserError
from mmagic_mr.io import is_image, write_text
from mmagic_mr.metrics.record import Record
from mmagic_mr.reports.check import check_record, check_run, read_json

SCHEMA = 2
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
    what = 'result of tools/test.py'
    if not Path(path).is_file():
        raise MissingFileError(f'no result {path}')
    run = read_json(path, what)
    if not isinstance(run, dict) or 'schema' not in run:
        raise UserError(f'{path} is no {what}')
    if run['schema'] != SCHEMA:
        raise UserError(
            f'{path} has schema {run["schema"]!r:.40}, this version reads {SCHEMA}: '
            'run tools/test.py again'
        )
    try:
        check_run(run)
        run['records'] = [dataclasses.asdict(check_record(r)) for r in run['records']]
    except (TypeError, RecursionError) as error:
        raise UserError(f'{path} is no whole {what}: {error}') from error
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
        inside = path.resolve().is_relative_to(Path(folder).resolve())
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
    """All of it, since a picture that breaks off would stop the report later."""
    try:
        with open_picture(path) as image:
            image.load()
    except UserError as error:
        raise UserError(f'collage {name!r}: {error}') from error


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
