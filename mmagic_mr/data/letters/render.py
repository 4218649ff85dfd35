"""Typefaces as pictures: each character in a cell of its own.

Capitals of every typeface are equally high and stand on one line, and a letter is in
the middle of its cell. So what is left open is the style, and not the place.
"""

from __future__ import annotations

import string
from pathlib import Path
from typing import NamedTuple

CHARACTERS = string.digits + string.ascii_uppercase + string.ascii_lowercase
WIDTH, HEIGHT = 32, 64  # of a cell
CAPITAL = 24  # height of an H
BASELINE = 42  # row that the letters stand on
WIDEST = 30  # a wider letter, W or m as a rule, is narrowed to it
FINE = 4  # drawn that much larger, and then averaged
NOWHERE = '\U0010ffff'  # a character that no typeface has


class Unusable(Exception):
    """The typeface cannot draw all of the characters; the text says why."""


def family_of(path: Path) -> str:
    """First word of the family's name: weights and widths of one design are one family.

    Raises:
        Unusable: the file is no font.
    """
    name, _ = _open(path, 10).getname()
    return (name or path.stem).split()[0]


def draw_typeface(path: Path):
    """All `CHARACTERS` of a font file, black on white.

    Args:
        path: TTF or OTF.

    Returns:
        uint8 array.

    Raises:
        Unusable: the file is no font, lacks a character, draws a box for it, or a
            letter is higher than the cell.

    Shape:
        (62, HEIGHT, WIDTH).
    """
    import numpy as np

    probe = _open(path, 400)
    rows = _ink(probe, 'H').rows
    if not rows:
        raise Unusable("has no 'H'")
    font = _open(path, round(400 * FINE * CAPITAL / (rows[1] - rows[0])))
    if _ink(font, 'A').picture == _ink(font, 'B').picture:
        raise Unusable('draws one box for all letters')
    box = _ink(font, NOWHERE)
    return np.stack([_cell(font, character, box) for character in CHARACTERS])


class _Ink(NamedTuple):
    """A character, cut out, in a strip as high as three cells.

    Attributes:
        picture: white on black; None: nothing is drawn.
        rows: first row, and the one after the last.
    """

    picture: object
    rows: tuple[int, int] | None


def _open(path, size):
    from PIL import ImageFont

    # Not Pillow's other layout, which not every machine has
    basic = ImageFont.Layout.BASIC
    try:
        return ImageFont.truetype(str(path), size, layout_engine=basic)
    except (OSError, ValueError):
        raise Unusable('is no font') from None


def _ink(font, character):
    from PIL import Image, ImageDraw

    height = 3 * FINE * HEIGHT
    # Wide enough also for the large size that the height is measured at
    canvas = Image.new('L', (4 * height, height))
    line = (2 * height, (HEIGHT + BASELINE) * FINE)
    ImageDraw.Draw(canvas).text(line, character, fill=255, font=font, anchor='ls')
    found = canvas.getbbox()
    if found is None:
        return _Ink(None, None)
    left, top, right, bottom = found
    return _Ink(canvas.crop((left, 0, right, height)), (top, bottom))


def _cell(font, character, box):
    import numpy as np
    from PIL import Image

    height = HEIGHT * FINE
    picture, rows = ink = _ink(font, character)
    if rows is None:
        raise Unusable(f'has no {character!r}')
    if ink == box:
        raise Unusable(f'draws a box for {character!r}')
    if rows[0] < height or rows[1] > 2 * height:
        raise Unusable(f'{character!r} is higher than the cell')
    letter = picture.crop((0, height, picture.width, 2 * height))
    if letter.width > WIDEST * FINE:
        letter = letter.resize((WIDEST * FINE, height), Image.Resampling.BICUBIC)
    cell = Image.new('L', (WIDTH * FINE, height))
    cell.paste(letter, ((cell.width - letter.width) // 2, 0))
    return 255 - np.asarray(cell.reduce(FINE))
