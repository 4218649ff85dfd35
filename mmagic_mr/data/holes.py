"""Rectangular holes of the inpainting task, random or fixed per image."""

import zlib
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from mmagic_mr.errors import UserError


class Rect(NamedTuple):
    """Top, left, height, width in pixels: MMagic's order of a box."""

    top: int
    left: int
    height: int
    width: int


def draw_hole(
    integers: Callable[[int, int], int],
    image_height: int,
    image_width: int,
    box_size: int = 64,
    sides: tuple[int, int] = (48, 64),
) -> tuple[Rect, Rect]:
    """A hole inside a square box, which lies anywhere in the image.

    The sides of the hole are drawn independently; every place is equally likely.

    Args:
        integers: ``integers(low, high)`` draws from low to high - 1, as
            ``np.random.randint`` or a Generator's ``integers``.
        image_height: in pixels.
        image_width: in pixels.
        box_size: side of the box, which the local discriminator sees, in pixels.
        sides: shortest and longest side of the hole, in pixels.

    Returns:
        box, hole.

    Raises:
        UserError: the box does not fit into the image, or the hole into the box.

    Reference:
        Iizuka et al., "Globally and Locally Consistent Image Completion", 2017.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> box, hole = draw_hole(rng.integers, 128, 128)
        >>> box
        Rect(top=55, left=41, height=64, width=64)
        >>> hole
        Rect(top=57, left=41, height=56, width=52)
    """
    if box_size > min(image_height, image_width):
        raise UserError(
            f'the local box of {box_size} does not fit into the image of '
            f'{image_height}x{image_width}: make box_size smaller'
        )
    if not 1 <= sides[0] <= sides[1] <= box_size:
        raise UserError(
            f'hole sides {tuple(sides)} must be rising, between 1 and the box size '
            f'{box_size}'
        )

    def draw(low, high):  # both included
        return int(integers(low, high + 1))

    top = draw(0, image_height - box_size)
    left = draw(0, image_width - box_size)
    height, width = draw(*sides), draw(*sides)
    hole_top = top + draw(0, box_size - height)
    hole_left = left + draw(0, box_size - width)
    return (
        Rect(top, left, box_size, box_size),
        Rect(hole_top, hole_left, height, width),
    )


def fixed_hole(
    name: str, seed: int, image_size: int, box_size: int, sides: tuple[int, int]
) -> tuple[Rect, Rect]:
    """The same box and hole for an image whenever, wherever and in any order it runs.

    Args:
        name: of the image file, without suffix.
        seed: of the dataset.
        image_size: side of the square image, in pixels.
        box_size: as in :func:`draw_hole`.
        sides: as in :func:`draw_hole`.

    Returns:
        box, hole.
    """
    rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
    return draw_hole(rng.integers, image_size, image_size, box_size, sides)


def hole_mask(hole: Rect, height: int, width: int) -> np.ndarray:
    """(height, width) uint8: 1 in the hole, 0 elsewhere."""
    mask = np.zeros((height, width), np.uint8)
    mask[hole.top : hole.top + hole.height, hole.left : hole.left + hole.width] = 1
    return mask
