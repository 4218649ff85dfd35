"""The runs of a study below each other: a part of the picture of each, and its name."""

from pathlib import Path

import numpy as np
from PIL import Image

from mmagic_mr.errors import UserError
from mmagic_mr.reports.collage import GAP, Text, save_picture
from mmagic_mr.reports.compare import Cut, Study, group_of

NAME_WIDTH = 200
WHITE = (255, 255, 255)


def draw_study(study: Study, work: Path, target: Path) -> dict[str, Path]:
    """One picture for each group of runs that have some: their first seeds.

    Args:
        study: With ``cuts``: without, or where nothing has run, there is no picture.
        work: Folder of the study's trainings, with a ``result.png`` each.
        target: Of the study's results, without an ending.

    Returns:
        The files, by group.

    Raises:
        UserError: A cut that is not inside a picture.
    """
    files = {}
    for group in dict.fromkeys(group_of(run.name) for run in study.runs):
        found = {
            run.name.removeprefix(f'{group}/'): work / run.folder(seed) / 'result.png'
            for run in study.runs
            for seed in run.seeds[:1]
            if group_of(run.name) == group
        }
        rows = {name: path for name, path in found.items() if path.is_file()}
        if rows and study.cuts:
            name = '_'.join([target.name, *filter(None, group.split('/'))])
            files[group] = target.with_name(f'{name}.png')
            save_picture(np.asarray(_stack(rows, study.cuts)), files[group])
    return files


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
