"""Runs below each other: a part of the picture of each, and its name."""

from pathlib import Path
from typing import TypeAlias

import numpy as np
from PIL import Image

from mmagic_mr.errors import UserError
from mmagic_mr.reports.collage import GAP, Text, save_picture

Cut: TypeAlias = tuple[int, int, int, int]  # left, top, right, bottom, in pixels
NAME_WIDTH = 200
WHITE = (255, 255, 255)


def draw_side_by_side(rows: dict[str, Path], cuts: dict[str, Cut], file: Path) -> None:
    """Write one picture with parts of those of several runs, a row each.

    Args:
        rows: Picture of each run, by the name that stands before it.
        cuts: What is shown of each picture, by the head of its column.
        file: PNG file to write.

    Raises:
        UserError: A cut that is not inside a picture.
    """
    save_picture(np.asarray(_stack(rows, cuts)), file)


def _stack(rows: dict[str, Path], cuts: dict[str, Cut]) -> Image.Image:
    text = Text(13)
    first = text.height + 2 * GAP
    height = GAP + max(bottom - top for _, top, _, bottom in cuts.values())
    widths = [GAP + right - left for left, _, right, _ in cuts.values()]
    size = NAME_WIDTH + sum(widths), first + height * len(rows)
    canvas = Image.new('RGB', size, WHITE)
    text.draw_on(canvas)
    lefts = [NAME_WIDTH + sum(widths[:n]) for n in range(len(widths))]
    for head, left, width in zip(cuts, lefts, widths, strict=True):
        text.write(head, left + (width - GAP) // 2, first // 2, width)
    for row, (name, path) in enumerate(rows.items()):
        top = first + row * height
        text.write(name, GAP, top + height // 2, NAME_WIDTH - GAP, anchor='lm')
        with Image.open(path) as picture:
            for left, cut in zip(lefts, cuts.values(), strict=True):
                _check_inside(cut, picture, path)
                canvas.paste(picture.crop(cut), (left, top))
    return canvas


def _check_inside(cut: Cut, picture: Image.Image, path: Path) -> None:
    left, top, right, bottom = cut
    if not (0 <= left < right <= picture.width and 0 <= top < bottom <= picture.height):
        raise UserError(
            f'cuts: {cut} (left, top, right, bottom) is not inside {path}, which is '
            f'{picture.width} x {picture.height}'
        )
