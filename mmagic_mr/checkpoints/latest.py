"""Which checkpoint a work dir goes on from: always one of its own."""

import logging
import os
import re
import zipfile
from pathlib import Path

from mmengine.logging import print_log

from mmagic_mr.checkpoints.files import UnreadableError, read
from mmagic_mr.errors import UserError
from mmagic_mr.io import write_text

NOTE = 'last_checkpoint'
_NUMBERED = re.compile(r'(?:iter|epoch)_(\d+)\.pth')


def note_latest(work_dir: str | os.PathLike, checkpoint: str | os.PathLike) -> None:
    """Write which checkpoint is the latest, whole or not at all.

    Relative to the work dir where it lies in it, so that the work dir can be moved.
    """
    name, folder = os.fspath(checkpoint), Path(os.path.abspath(work_dir))
    path = Path(os.path.abspath(name))
    if path.is_relative_to(folder) and '://' not in name:
        name = str(path.relative_to(folder))
    write_text(folder / NOTE, name)


def find_latest(work_dir: str | os.PathLike) -> str | None:
    """The newest whole checkpoint of a work dir.

    The file that ``last_checkpoint`` names, looked for in this folder alone: that of a
    moved or copied work dir names a file of the former one, and means its own copy. If
    the file is cut off or gone, the one before it, with a warning.

    Args:
        work_dir: Folder of a run.

    Returns:
        Path of the file; None: the run has written no checkpoint yet.

    Raises:
        UserError: the folder has no whole checkpoint, though it had one; or
            ``last_checkpoint`` names one that is not in the folder.
    """
    folder = Path(os.path.abspath(work_dir))
    note = folder / NOTE
    others = _numbered(folder)
    if not note.is_file() and not others:
        print_log(f'no checkpoint in {folder} yet', logger='current')
        return None
    named = _named(note)
    noted = _inside(folder, named) if named else None
    candidates = [noted, *others] if noted else others
    if named and noted is None:
        _refuse_unless_of_a_run(note, named, others)
    problems = []
    for path in dict.fromkeys(candidates):
        problem = _damage(path)
        if problem is None:
            _say_what_was_skipped(note, named, problems, path)
            return str(path)
        problems.append(problem)
    raise UserError(
        f'{folder} has no whole checkpoint to resume from '
        f'({"; ".join(problems) or f"{NOTE} says {named!r}"}); give one by '
        f'--resume CHECKPOINT, or remove {note} to train anew'
    )


def _named(note: Path) -> str:
    if not note.is_file():
        return ''
    with note.open(encoding='utf-8', errors='replace') as file:
        return file.read(4096).strip()


def _inside(folder: Path, named: str) -> Path | None:
    """The file of this folder that is meant; None: it has none of this name."""
    path = Path(os.path.normpath(folder / named))
    for found in path, folder / path.name:
        if found.is_relative_to(folder) and found.is_file():
            return found
    return None


def _refuse_unless_of_a_run(note: Path, named: str, others: list[Path]) -> None:
    """A name that mmengine writes may be gone; any other one was put there."""
    if '://' not in named and _NUMBERED.fullmatch(Path(named).name) and others:
        return
    raise UserError(
        f'{note} names {named!r}, and there is no such file in its folder; give the '
        f'checkpoint by --resume CHECKPOINT, or remove {note} to train anew'
    )


def _numbered(folder: Path) -> list[Path]:
    """The checkpoints in a folder, newest first."""
    found = [path for path in folder.glob('*.pth') if _NUMBERED.fullmatch(path.name)]
    return sorted(
        found,
        key=lambda path: int(_NUMBERED.fullmatch(path.name)[1]),
        reverse=True,
    )


def _damage(path: Path) -> str | None:
    """How a file is damaged; None: it is whole.

    Raises:
        UserError: it is whole, and refused: nothing to pass over in silence.
    """
    try:
        read(path, map_location='meta')  # what is in it, not the numbers
    except UnreadableError as error:
        if zipfile.is_zipfile(path):
            raise
        return str(error)
    return None


def _say_what_was_skipped(note, named, problems, path) -> None:
    reasons = list(problems)
    if not named:
        reasons.append(f'{note} is {"empty" if note.is_file() else "missing"}')
    elif Path(named).name != path.name and not problems:
        reasons.append(f'{note} names {named!r}, which is not there')
    if reasons:
        print_log(
            f'{"; ".join(reasons)}. Resuming from {path}',
            logger='current',
            level=logging.WARNING,
        )
