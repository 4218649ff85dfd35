"""Listing, pairing and writing of files."""

import json
from collections.abc import Collection, Iterable
from pathlib import Path

from mmagic_mr.errors import MissingFileError, UserError
from mmagic_mr.io import atomic_path, is_image, write_text


def write_json(data: dict, path: Path) -> None:
    """Whole or not at all."""
    write_text(path, json.dumps(data, indent=1) + '\n')


def write_bytes(data: bytes, path: Path) -> None:
    """Whole or not at all."""
    with atomic_path(path) as unfinished:
        unfinished.write_bytes(data)


def list_images(folder: Path, pattern: str = '*', end: str = '') -> dict[str, Path]:
    """Image files of a folder by name, in order of name.

    Args:
        folder: where to look.
        pattern: glob pattern below ``folder``.
        end: what the name ends with before its suffix; it is cut off.

    Returns:
        ``{name without end and suffix: path}``.

    Raises:
        UserError: the folder is missing or holds no such image, or two of them have one
            name.
    """
    paths = (path for path in _visible(folder, pattern) if is_image(path))
    found = _by_name((path for path in paths if path.stem.endswith(end)), end)
    if not found:
        raise MissingFileError(
            f'folder {folder} holds no image named {pattern}{end}.png, .jpg or the like'
        )
    return found


def list_files(folder: Path, suffixes: Collection[str]) -> dict[str, Path]:
    """Files of a folder, and of those below it, by name, in order of place.

    Args:
        folder: where to look.
        suffixes: what counts, in small letters.

    Returns:
        ``{name without suffix: path}``.

    Raises:
        UserError: the folder is missing or holds no such file, or two of them have one
            name.
    """
    paths = _visible(folder, '**/*')
    found = _by_name(path for path in paths if path.suffix.lower() in suffixes)
    if not found:
        raise MissingFileError(f'folder {folder} holds no file {" or ".join(suffixes)}')
    return found


def _visible(folder, pattern):
    if not folder.is_dir():
        raise MissingFileError(f'folder {folder} is missing')
    return [
        path for path in sorted(folder.glob(pattern)) if not path.name.startswith('.')
    ]


def _by_name(paths, end=''):
    found: dict[str, Path] = {}
    for path in paths:
        name = path.stem.removesuffix(end)
        if name in found:
            raise UserError(
                f'{found[name]} and {path} have the same name, and would become one '
                'file: keep one of them'
            )
        found[name] = path
    return found


def first_few(names: Iterable[str]) -> str:
    """The first names in order, and how many there are.

    Example:
        >>> first_few('dbca')
        'a, b, c ... (4 in all)'
    """
    names = sorted(names)
    dots = ' ...' if len(names) > 3 else ''
    return f'{", ".join(names[:3])}{dots} ({len(names)} in all)'


def check_pairs(
    first: Collection[str], second: Collection[str], first_kind: str, second_kind: str
) -> None:
    """Raises UserError unless both hold the same names."""
    wrong = [
        f'{kind} without {other}: {first_few(names)}'
        for kind, other, names in (
            (first_kind, second_kind, set(first) - set(second)),
            (second_kind, first_kind, set(second) - set(first)),
        )
        if names
    ]
    if wrong:
        raise UserError('; '.join(wrong))
