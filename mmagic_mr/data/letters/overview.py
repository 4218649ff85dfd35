"""A picture of what the data set of letters holds."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from mmagic_mr.data.letters.atlas import PAIRS, Atlas, is_held_out
from mmagic_mr.data.pictures import save_png

ROWS, ANSWERS = 6, 14
TITLE = 14  # height of the line above, in pixels


def draw_overview(atlas: Atlas, path: Path) -> None:
    """Inputs, some of their real answers, and the mean and spread of all of them.

    The pairs of characters and the typefaces are spread evenly over those held out and
    those for training. The last column is twice the standard deviation, dark for large.

    Args:
        atlas: The data set.
        path: PNG file to write.
    """
    held_out = [pair for pair in PAIRS if is_held_out(pair)]
    chosen = _spread(atlas.faces, ANSWERS)
    rows = []
    for pair in _spread(held_out, ROWS):
        every = np.stack([atlas.picture(pair, face) for face in atlas.faces])
        some = [atlas.picture(pair, face) for face in chosen]
        spread = 255 - (2 * every.std(0)).clip(0, 255)
        row = [atlas.picture(pair, atlas.plain), *some, every.mean(0), spread]
        rows.append(np.concatenate(row, 1))
    grid = np.rint(np.concatenate(rows)).astype(np.uint8)
    height, width = grid.shape
    side = width // (len(chosen) + 3)
    canvas = Image.new('L', (width, height + TITLE), 255)
    canvas.paste(Image.fromarray(grid), (0, TITLE))
    draw = ImageDraw.Draw(canvas)
    words = f'real answers: {len(chosen)} of {len(atlas.faces)} typefaces'
    for place, text in (0, 'input'), (1, words), (-2, 'mean'), (-1, '2 std'):
        left = place * side if place >= 0 else width + place * side
        draw.text((left + 2, 1), text, 0, ImageFont.load_default(10))
    save_png(canvas.convert('RGB'), path)


def _spread(items, count: int) -> list:
    count = min(count, len(items))
    return [items[index * len(items) // count] for index in range(count)]
