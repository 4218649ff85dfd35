"""Files: written whole or not at all, and which ones are images."""

import json
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mmagic_mr.errors import UserError

IMAGE_SUFFIXES = frozenset(
    ('.png', '.jpg', '.jpeg', '.bmp', '.tif', '.tiff', '.ppm', '.webp')
)


def is_image(path: str | os.PathLike[str]) -> bool:
    """Whether the name is that of an image file.

    Example:
        >>> is_image('photo.JPG'), is_image('photo.txt')
        (True, False)
    """
    return Path(path).suffix.lower() in IMAGE_SUFFIXES


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A name to write to, in the same folder; at the end the file takes its place.

    Readers see the old file or the new one, never half of it, also after a power cut.
    If the block raises, nothing is left. Missing folders are made.

    Example:
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with atomic_path(f'{folder}/results/a.txt') as unfinished:
        ...         _ = unfinished.write_text('done')
        ...     Path(folder, 'results', 'a.txt').read_text()
        'done'
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # The suffix stays: libraries choose the format by it.
    handle, name = tempfile.mkstemp(
        dir=path.parent, prefix=f'.{path.stem}-', suffix=path.suffix
    )
    os.close(handle)
    unfinished = Path(name)
    try:
        yield unfinished
        umask = os.umask(0)
        os.umask(umask)
        unfinished.chmod(0o666 & ~umask)  # mkstemp makes private files
        with open(unfinished, 'rb') as file:
            os.fsync(file.fileno())
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


def finished_path(path: str | os.PathLike[str]) -> Path | None:
    """The file that `atomic_path` was making under this name; None: another name.

    Such a name is left over where a process was killed.

    Example:
        >>> print(finished_path('results/.a-4xk_20pq.txt'))
        results/a.txt
        >>> print(finished_path('results/a.txt'))
        None
    """
    path = Path(path)
    match = re.fullmatch(r'\.(.+)-[a-z0-9_]{8}', path.stem)
    return path.with_name(match[1] + path.suffix) if match else None


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write a text file (UTF-8), whole or not at all."""
    with atomic_path(path) as unfinished:
        unfinished.write_text(text, encoding='utf-8')


def read_json(path: str | os.PathLike[str], what: str) -> Any:
    """What a JSON file holds, whoever wrote it.

    Args:
        path: of the file (UTF-8).
        what: it should be, for the message.

    Raises:
        UserError: it is no JSON, is cut off or nested too deeply, or holds a text or a
            number that could not be written again.
    """
    try:
        value = json.loads(Path(path).read_text(encoding='utf-8'))
        json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise UserError(f'{path} is no {what}') from error
    return value
