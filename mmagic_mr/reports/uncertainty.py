"""Maps of how far samples are from each other: as pictures, and as numbers."""

from pathlib import Path

import numpy as np
from PIL import Image

from mmagic_mr.errors import UserError
from mmagic_mr.io import atomic_path
from mmagic_mr.reports.collage import (
    BACKGROUND,
    GAP,
    Text,
    color_bar,
    color_map,
    save_picture,
)

FORMATS = ('png', 'tiff', 'npy')


def uncertainty_picture(
    level: np.ndarray, top: float | None = None, cell: int = 256
) -> np.ndarray:
    """A map in colors from dark, 0, to bright, with a legend below it.

    Args:
        level: Standard deviations (H, W), of values in [0, 1].
        top: What the brightest color means, so that several maps have one scale; None:
            the largest value.
        cell: Least side of the map in pixels; a smaller one is enlarged by a whole
            factor, pixel by pixel.

    Returns:
        RGB picture (H', W', 3), uint8.

    Example:
        >>> picture = uncertainty_picture(np.eye(8), cell=64)
        >>> bool((picture[4, 4] == color_map()[255]).all()), picture.shape[1]
        (True, 64)
    """
    top = scale_of(level) if top is None else top
    index = np.rint(level / top * 255).clip(0, 255).astype(np.uint8)
    factor = max(1, -(-cell // max(level.shape)))
    colors = color_map()[index].repeat(factor, 0).repeat(factor, 1)
    height, width = colors.shape[:2]
    text = Text(max(9, min(15, width // 16)))
    line = text.height + 3 * GAP
    canvas = Image.new('RGB', (width, height + line), BACKGROUND)
    canvas.paste(Image.fromarray(colors))
    text.draw_on(canvas)
    middle = height + line // 2
    words = 'std   0' if width >= 160 else '0'
    room = width - text.width(words) - text.width(f'{top:.2g}') - 6 * GAP
    color_bar(canvas, text, middle, words, f'{top:.2g}', max(room, 8))
    return np.asarray(canvas)


def scale_of(*levels: np.ndarray) -> float:
    """One top of the color scale for several maps: their largest value.

    Example:
        >>> scale_of(np.zeros((2, 2)))  # of maps without spread: no division by 0
        0.01
    """
    return max(0.01, *(float(level.max()) for level in levels))


def save_map(level: np.ndarray, path: str | Path, top: float | None = None) -> None:
    """Write a map: PNG in colors with a legend; TIFF or NPY in float32, as it is.

    Args:
        level: (H, W).
        path: The suffix says what to write.
        top: Of the colors, see `uncertainty_picture`.

    Raises:
        UserError: another suffix.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     save_map(np.eye(4), f'{folder}/std.tiff')
        ...     np.asarray(Image.open(f'{folder}/std.tiff'))[0].tolist()
        [1.0, 0.0, 0.0, 0.0]
    """
    path = Path(path)
    kind = path.suffix.lower().removeprefix('.')
    if kind not in FORMATS:
        raise UserError(f'a map is written as {", ".join(FORMATS)}, not as {path.name}')
    if kind == 'png':
        save_picture(uncertainty_picture(level, top), path)
        return
    numbers = np.ascontiguousarray(level, dtype=np.float32)
    with atomic_path(path) as unfinished:
        if kind == 'npy':
            np.save(unfinished, numbers)
        else:
            Image.fromarray(numbers).save(unfinished)
