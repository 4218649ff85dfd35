"""Mean and standard deviation of the colors of a dataset."""

import math
from functools import partial
from pathlib import Path

from mmagic_mr.data.pictures import read_rgb
from mmagic_mr.data.prepare.command import Command, add_workers
from mmagic_mr.data.prepare.files import list_images
from mmagic_mr.data.prepare.parallel import parallel
from mmagic_mr.errors import UserError


def channel_stats(
    paths: list[Path], side: str = 'all', workers: int = 1
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Per channel, over all pixels of all images together.

    Args:
        paths: image files.
        side: ``'A'`` left half, ``'B'`` right half, ``'all'`` the whole image.
        workers: number of processes.

    Returns:
        mean, std: (r, g, b) each, in [0, 1].

    Raises:
        UserError: an image that cannot be read, or of odd width where a side is
            asked for.
    """
    import numpy as np

    # Whole numbers, so that the order of the workers and rounding play no part
    sums = np.zeros((3, 3), dtype=np.int64)
    for result in parallel(partial(_sums, side), paths, workers, f'{side} colors'):
        sums += result
    columns = sums.T.tolist()
    mean = tuple(total / count / 255 for count, total, _ in columns)
    std = tuple(
        math.sqrt(squares * count - total**2) / count / 255
        for count, total, squares in columns
    )
    return mean, std


def input_norm_line(folder: Path, side: str | None = None, workers: int = 1) -> str:
    """``input_norm=dict(mean=(r, g, b), std=(r, g, b))``, as a config takes it.

    Args:
        folder: a paired dataset, whose ``train`` images are taken, or image files.
        side: as in :func:`channel_stats`; None: ``'B'``, the label side, of a paired
            dataset, ``'all'`` of other folders.
        workers: number of processes.

    Returns:
        The line, in [0, 1] RGB.

    Raises:
        UserError: as :func:`channel_stats`; a channel that never changes, since it
            cannot be standardized.
    """
    paired = (folder / 'train').is_dir()
    images = list_images(folder / 'train' if paired else folder)
    side = side or ('B' if paired else 'all')
    mean, std = channel_stats(list(images.values()), side, workers)
    if min(std) == 0:
        raise UserError(
            f'{folder}: channel {"RGB"[std.index(0)]} has one value in all '
            f'{len(images)} images and cannot be standardized (side {side})'
        )
    return f'input_norm=dict(mean={_numbers(mean)}, std={_numbers(std)})'


def _numbers(values):
    return f'({", ".join(f"{value:.4f}" for value in values)})'


def _sums(side: str, path: Path):
    import numpy as np

    image = np.asarray(read_rgb(path), dtype=np.int64)
    if side != 'all':
        height, width = image.shape[:2]
        if width % 2:
            raise UserError(
                f'{path} is {width}x{height}: an odd width is no pair side by side'
            )
        half = width // 2
        image = image[:, :half] if side == 'A' else image[:, half:]
    pixels = image.reshape(-1, 3)
    return np.stack([np.full(3, len(pixels)), pixels.sum(0), (pixels**2).sum(0)])


def _add_arguments(parser):
    parser.add_argument(
        'folder', metavar='DST', type=Path, help='paired dataset or folder of images'
    )
    parser.add_argument(
        '--side',
        choices=['A', 'B', 'all'],
        help='half of each image; without it B of a paired dataset, else all',
    )
    add_workers(parser)


def _run(**options):
    print(input_norm_line(**options))


COMMANDS = [
    Command(
        'stats',
        'mean and standard deviation of the colors, as a config line',
        _add_arguments,
        _run,
    )
]
