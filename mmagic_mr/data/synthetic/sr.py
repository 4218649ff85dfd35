"""Small -> large picture pairs whose conditional distribution is known in closed form.

The small picture is a demo scene, reduced. The large one is an engraving of it: smooth
tones, and on every tile of 4x4 pixels (one pixel of the small picture) one of four
hatchings, each as likely as the others, drawn for each tile on its own. A hatching
takes away as much light as it adds, and so do the slopes of the tones within a tile:
the mean over the tile is the small picture's pixel whatever the hatching, and the small
picture says nothing about it. With values in [0, 1], for the pixels of a tile,

    p(y | x) = 1/4 sum_m N(y; t(x) + a(x) h_m, s^2 I)
    E(y | x) = t + a mean_m h_m,    Var(y | x) = a^2 var_m h_m + s^2 + (1/255)^2 / 12

(the last term is the rounding to 8 bits). NumPy only: no network, no torch.
"""

from pathlib import Path

import numpy as np
from PIL import Image

from mmagic_mr.data.synthetic.files import write_set
from mmagic_mr.data.synthetic.scenes import (
    LOOKS,
    Truth,
    camera,
    look_photos,
    scene_labels,
)

SCALE = 4  # side of a tile
CONTRAST = 0.15  # of a hatching, where the tone leaves room for it

_y, _x = np.mgrid[:SCALE, :SCALE]
# +1 or -1 by hatching and pixel: lines, two diagonals, checks. The sum over a tile is
# 0, and no pixel has one value in all four, so that the variance is positive.
HATCHINGS = np.stack(
    [
        np.where((phase + shift) % 4 < 2, 1.0, -1.0)
        for phase, shift in (
            (_y, 3),
            (_x + _y, 3),
            (_x - _y, 1),
            (2 * (_x // 2 + _y // 2), 3),
        )
    ]
)


def small_picture(index: int, size: int = 8, seed: int = 0) -> np.ndarray:
    """The small picture of scene number ``index``, in one of the four looks.

    Args:
        index: number of the scene; with ``seed`` it fixes the picture.
        size: side in pixels, 4 or more.
        seed: seed of the whole set.

    Returns:
        RGB picture (size, size, 3), uint8.

    Example:
        >>> small_picture(0).shape
        (8, 8, 3)
    """
    rng = np.random.default_rng([seed, index, 2])
    photo = look_photos(scene_labels(index, size * SCALE, seed))[
        rng.integers(len(LOOKS))
    ]
    return np.rint(down_sample(photo) * 255).astype(np.uint8).transpose(1, 2, 0)


def down_sample(pictures: np.ndarray) -> np.ndarray:
    """Means over tiles, (..., H, W) to (..., H/4, W/4): what makes the small picture.

    Example:
        >>> bool((down_sample(HATCHINGS) == 0).all())
        True
    """
    *rest, height, width = pictures.shape
    tiles = pictures.reshape(*rest, height // SCALE, SCALE, width // SCALE, SCALE)
    return tiles.mean((-3, -1))


def engravings(small: np.ndarray) -> np.ndarray:
    """The noise-free large picture with each hatching on all of its tiles.

    Args:
        small: RGB picture (H,W,3), uint8.

    Returns:
        Pictures (4,3,4H,4W), RGB in [0, 1], in the order of ``HATCHINGS``; the mean
        over every tile is the small picture's pixel.

    Example:
        >>> small = small_picture(0)
        >>> bool((np.rint(down_sample(engravings(small)) * 255)
        ...       == small.transpose(2, 0, 1)).all())
        True
    """
    tone = small.transpose(2, 0, 1) / 255
    # Offsets of a tile's pixels from its middle, in tiles: their mean is 0
    offset = (np.arange(SCALE) + 0.5) / SCALE - 0.5
    tiles = (
        tone[:, :, None, :, None]
        + _slope(tone, 1)[:, :, None, :, None] * offset[:, None, None]
        + _slope(tone, 2)[:, :, None, :, None] * offset
    )
    room = np.minimum(tiles, 1 - tiles).min((2, 4), keepdims=True)
    amplitude = np.minimum(CONTRAST, 0.8 * room)
    modes = tiles + amplitude * HATCHINGS[:, None, None, :, None, :]
    _, channels, height, _, width, _ = modes.shape
    return modes.reshape(-1, channels, height * SCALE, width * SCALE)


def _slope(tone, axis):
    """Difference to the nearer of the two neighbors in value; 0 at a crest."""
    around = np.pad(tone, [(int(a == axis),) * 2 for a in range(3)], 'edge')
    steps = np.diff(around, axis=axis)
    count = tone.shape[axis]
    behind, ahead = (steps.take(range(i, i + count), axis) for i in (0, 1))
    nearer = np.minimum(np.abs(ahead), np.abs(behind))
    return np.where(ahead * behind > 0, np.sign(ahead) * nearer, 0)


def engraving_truth(small: np.ndarray) -> Truth:
    """True modes, mean and variance of the large pictures of a small one.

    ``modes`` has each hatching on all tiles at once; the modes of a picture are these,
    mixed tile by tile.

    Args:
        small: RGB picture (H,W,3), uint8.

    Returns:
        Truth in RGB and [0, 1]; ``.bgr255()`` gives MMagic's order and range.

    Example:
        >>> truth = engraving_truth(small_picture(0))
        >>> truth.modes.shape, bool(truth.var.min() > 0)
        ((4, 3, 32, 32), True)
    """
    return Truth.of_modes(engravings(small))


def engrave(small: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """One large picture as a file holds it, camera noise and rounding included.

    Args:
        small: RGB picture (H,W,3), uint8.
        rng: source of the hatchings and of the camera noise.

    Returns:
        RGB picture (4H,4W,3), uint8.

    Example:
        >>> engrave(small_picture(0), np.random.default_rng(0)).shape
        (32, 32, 3)
    """
    which = rng.integers(len(HATCHINGS), size=small.shape[:2])
    which = which.repeat(SCALE, 0).repeat(SCALE, 1)
    return camera(np.take_along_axis(engravings(small), which[None, None], 0)[0], rng)


def tiles(pictures: np.ndarray) -> np.ndarray:
    """Tiles of pictures, (..., C, H, W) to (H/4 * W/4, ..., C, 4, 4).

    Example:
        >>> tiles(np.zeros((5, 3, 32, 32))).shape
        (64, 5, 3, 4, 4)
    """
    *rest, height, width = pictures.shape
    cut = pictures.reshape(*rest, height // SCALE, SCALE, width // SCALE, SCALE)
    cut = np.moveaxis(cut, (-4, -2), (0, 1))
    return cut.reshape(-1, *rest, SCALE, SCALE)


def write_engravings(root: str | Path, **options) -> Path:
    """Write the dataset: ``root/{train,val}/{gt,lq}/*.png``, large and small pictures.

    Args:
        root: folder to write to.
        options: numbers of pictures, side of a large one, seed; see :func:`write_set`.

    Returns:
        ``root`` as a Path.
    """
    return write_set(root, _write_engraving, ('gt', 'lq'), **options)


def _write_engraving(folder, name, index, size, seed):
    small = small_picture(index, size // SCALE, seed)
    large = engrave(small, np.random.default_rng([seed, index, 3]))
    Image.fromarray(small).save(folder / 'lq' / f'{name}.png')
    Image.fromarray(large).save(folder / 'gt' / f'{name}.png')
