"""Reading, atomic writing and pairing of files."""

import json
import os
from pathlib import Path

from PIL import Image

SUFFIXES = ('.png', '.jpg', '.jpeg')


class PrepareError(Exception):
    """Bad data, told in one line; the command line shows it without a traceback."""


def read_rgb(path: Path) -> Image.Image:
    """The whole image, decoded, as 8-bit RGB.

    Raises:
        PrepareError: naming the file that is missing, truncated or no image.
    """
    try:
        with Image.open(path) as image:
            return image.convert('RGB')
    except Exception as error:  # a broken file raises whatever its decoder likes
        reason = ' '.join(str(error).split())
        raise PrepareError(
            f'{path} is not a readable image ({reason}): extract or download it again'
        ) from None


def resize(image: Image.Image, width: int, height: int) -> Image.Image:
    """Bicubic with antialiasing: Pillow widens the kernel by the reduction."""
    return image.resize((width, height), Image.Resampling.BICUBIC)


def save_png(image: Image.Image, path: Path) -> None:
    """Under its name only once complete, so that a killed run leaves no half file."""
    with _replacing(path) as part:
        image.save(part, format='PNG')


def write_json(data: dict, path: Path) -> None:
    """As :func:`save_png`."""
    with _replacing(path) as part:
        part.write_text(json.dumps(data, indent=1) + '\n')


def write_bytes(data: bytes, path: Path) -> None:
    """As :func:`save_png`."""
    with _replacing(path) as part:
        part.write_bytes(data)


class _replacing:
    # One temporary name per file: a restarted run overwrites what a killed one left
    def __init__(self, path: Path):
        self.path = path
        self.part = path.with_name(path.name + '.part')

    def __enter__(self) -> Path:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        return self.part

    def __exit__(self, error_type, *_):
        if error_type is None:
            os.replace(self.part, self.path)
        else:
            self.part.unlink(missing_ok=True)


def list_images(folder: Path, pattern: str = '*', end: str = '') -> dict[str, Path]:
    """Image files of a folder by name, in order of name.

    Args:
        folder: where to look.
        pattern: glob pattern below ``folder``.
        end: what the name ends with before its suffix; it is cut off.

    Returns:
        ``{name without end and suffix: path}``.

    Raises:
        PrepareError: the folder is missing, or holds no such image.
    """
    if not folder.is_dir():
        raise PrepareError(f'folder {folder} is missing')
    found = {
        path.stem.removesuffix(end): path
        for path in sorted(folder.glob(pattern))
        if path.suffix.lower() in SUFFIXES
        and path.stem.endswith(end)
        and not path.name.startswith('.')
    }
    if not found:
        raise PrepareError(f'folder {folder} holds no image {pattern}{end}.png or .jpg')
    return found


def first_few(names) -> str:
    """``a, b, c ... (7 in all)``."""
    names = sorted(names)
    dots = ' ...' if len(names) > 3 else ''
    return f'{", ".join(names[:3])}{dots} ({len(names)} in all)'


def check_pairs(first, second, first_kind: str, second_kind: str) -> None:
    """Raises PrepareError unless both hold the same names."""
    wrong = [
        f'{kind} without {other}: {first_few(names)}'
        for kind, other, names in (
            (first_kind, second_kind, set(first) - set(second)),
            (second_kind, first_kind, set(second) - set(first)),
        )
        if names
    ]
    if wrong:
        raise PrepareError('; '.join(wrong))
