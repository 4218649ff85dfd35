"""Scenes with a hole, whose content's distribution is known in closed form.

Sky and ground meet at a straight horizon, in one of the four looks of the demo scenes;
houses and trees stand about, none of them across the edge of the hole. In the hole
stands a billboard with one of four posters, each as likely as the others. The picture
around the hole, x, tells the look and the horizon, and nothing of the poster. With
values in [0, 1], for the pixels of the hole,

    p(y | x) = 1/4 sum_m N(y; mu_m(x), s^2 I)
    E(y | x) = mean_m mu_m,    Var(y | x) = var_m mu_m + s^2 + (1/255)^2 / 12

(the last term is the rounding to 8 bits). NumPy only: no network, no torch.
"""

import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from mmagic_mr.data.synthetic.files import FIRST_VAL, write_set
from mmagic_mr.data.synthetic.scenes import (
    GROUND,
    LOOKS,
    SKY,
    Truth,
    add_house,
    add_tree,
    camera,
    look_photos,
)
from mmagic_mr.errors import UserError
from mmagic_mr.io import write_text

POSTERS = ('disc', 'cross', 'stripes', 'triangle')
# RGB of the posters' grounds and signs, and of the posts
GROUNDS = np.array([(236, 236, 228), (24, 56, 150), (30, 28, 34), (240, 150, 30)]) / 255
SIGNS = np.array([(206, 30, 44), (242, 206, 40), (238, 238, 238), (20, 104, 60)]) / 255
POST = np.array((110, 78, 50)) / 255


class Inpainting(NamedTuple):
    """A scene with a hole.

    Attributes:
        labels: class numbers of all but the billboard (H,W), uint8.
        look: index of ``scenes.LOOKS``.
        hole: top, left, height, width in pixels.
    """

    labels: np.ndarray
    look: int
    hole: tuple[int, int, int, int]

    @property
    def mask(self) -> np.ndarray:
        """True in the hole, (H,W)."""
        top, left, height, width = self.hole
        mask = np.zeros(self.labels.shape, dtype=bool)
        mask[top : top + height, left : left + width] = True
        return mask

    def in_hole(self, pictures: np.ndarray) -> np.ndarray:
        """The hole's part of pictures, (..., H, W) to (..., height, width)."""
        top, left, height, width = self.hole
        return pictures[..., top : top + height, left : left + width]


def hole_of(size: int) -> tuple[int, int, int, int]:
    """The hole of a scene of that side: top, left, height, width.

    Raises:
        UserError: if ``size`` is odd or below 32.

    Example:
        >>> hole_of(32)
        (8, 8, 16, 16)
    """
    if size < 32 or size % 2:
        raise UserError(f'size is {size}: these scenes need an even 32 or more')
    side = size // 2
    return side // 2, side // 2, side, side


def inpainting_scene(index: int, size: int = 32, seed: int = 0) -> Inpainting:
    """Draw scene number ``index``; the hole is the middle of it, half as wide.

    Args:
        index: number of the scene; with ``seed`` it fixes the scene.
        size: side in pixels, even, 32 or more.
        seed: seed of the whole set.

    Returns:
        Inpainting.

    Raises:
        UserError: if ``size`` is odd or below 32.

    Example:
        >>> scene = inpainting_scene(0)
        >>> scene.labels.shape, int(scene.mask.sum())
        ((32, 32), 256)
    """
    rng = np.random.default_rng([seed, index, 4])
    top, _, side, _ = hole = hole_of(size)
    # Lengths from here on are in units of a 32-pixel scene.
    unit = size / 32
    y, x = (np.mgrid[:size, :size] + 0.5) / unit
    horizon = round(top + side * rng.uniform(0.55, 0.8)) / unit
    look = int(rng.integers(len(LOOKS)))
    background = np.where(y > horizon, GROUND, SKY).astype(np.uint8)
    mask = Inpainting(background, look, hole).mask
    for _ in range(2):
        labels = background.copy()
        (add_house if rng.random() < 0.5 else add_tree)(labels, x, y, horizon, rng)
        # Nothing may be cut by the edge of the hole, and show what is inside
        if not (labels != background)[mask].any():
            background = labels
    return Inpainting(background, look, hole)


def inpainting_photos(scene: Inpainting) -> np.ndarray:
    """The noise-free photo with each poster in the hole.

    Returns:
        Pictures (4,3,H,W), RGB in [0, 1], in the order of ``POSTERS``; they are one
        outside the hole.

    Example:
        >>> scene = inpainting_scene(0)
        >>> disc, cross, stripes, triangle = inpainting_photos(scene)
        >>> bool((disc == cross)[:, ~scene.mask].all())
        True
    """
    photo = look_photos(scene.labels)[scene.look]
    top, left, _, side = scene.hole
    # From the middle, and upwards from the foot, in sixteenths of the hole's side
    y, x = (np.mgrid[: photo.shape[1], : photo.shape[2]] + 0.5) * (16 / side)
    x = x - (left * 16 / side + 8)
    y = top * 16 / side + 14.5 - y
    board = (np.abs(x) < 7) & (y > 2) & (y < 13.5)
    posts = (np.abs(np.abs(x) - 5) < 1) & (y > 0) & (y <= 2)
    signs = np.stack(
        [
            x**2 + (y - 7.75) ** 2 < 4**2,
            (np.abs(x + 2) < 1.1) | (np.abs(y - 7.75) < 1.1),
            np.floor(y / 2) % 2 == 1,
            (y > 3.5) & (np.abs(x) < 0.7 * (12 - y)),
        ]
    )
    posters = np.where(
        signs[:, None], SIGNS[:, :, None, None], GROUNDS[:, :, None, None]
    )
    photo = np.where(posts, POST[:, None, None], photo)
    return np.where(board, posters, photo)


def inpainting_truth(scene: Inpainting) -> Truth:
    """True modes, mean and variance of the hole's content, cut out.

    Returns:
        Truth in RGB and [0, 1], pictures of the hole's size; ``.bgr255()`` gives
        MMagic's order and range.

    Example:
        >>> truth = inpainting_truth(inpainting_scene(0))
        >>> truth.modes.shape
        (4, 3, 16, 16)
    """
    return Truth.of_modes(scene.in_hole(inpainting_photos(scene)))


def take_inpainting_photo(
    scene: Inpainting, poster: int, rng: np.random.Generator
) -> np.ndarray:
    """One photo as a file holds it, camera noise and rounding included.

    Args:
        scene: the scene.
        poster: 0..3, an index of ``POSTERS``.
        rng: source of the camera noise.

    Returns:
        RGB picture (H,W,3), uint8.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> take_inpainting_photo(inpainting_scene(0), 2, rng).shape
        (32, 32, 3)
    """
    return camera(inpainting_photos(scene)[poster], rng)


def scene_of_file(path: str | Path) -> Inpainting:
    """The scene of a validation file ``root/val/gt/<number>.png``.

    Raises:
        FileNotFoundError: if ``root/scenes.json`` is missing.
    """
    path = Path(path)
    settings = json.loads((path.parents[2] / 'scenes.json').read_text())
    return inpainting_scene(
        FIRST_VAL + int(path.stem), settings['size'], settings['seed']
    )


def write_inpaintings(root: str | Path, size: int = 32, **options) -> Path:
    """Write the dataset: ``root/{train,val}/{gt,masks}/*.png`` and ``boxes.json``.

    In the form of the CelebA set.

    Args:
        root: folder to write to.
        size: side of a picture in pixels, even, 32 or more.
        options: numbers of pictures, seed; see :func:`write_set`.

    Returns:
        ``root`` as a Path.
    """
    hole = hole_of(size)
    root = write_set(
        root, _write_inpainting, ('gt', 'masks'), size=size, version=3, **options
    )
    for split in 'train', 'val':
        names = sorted(path.stem for path in (root / split / 'gt').glob('*.png'))
        boxes = dict.fromkeys(names, hole)
        write_text(root / split / 'boxes.json', json.dumps(boxes))
    return root


def _write_inpainting(folder, name, index, size, seed):
    scene = inpainting_scene(index, size, seed)
    rng = np.random.default_rng([seed, index, 5])
    photo = take_inpainting_photo(scene, rng.integers(len(POSTERS)), rng)
    Image.fromarray(photo).save(folder / 'gt' / f'{name}.png')
    Image.fromarray(scene.mask).save(folder / 'masks' / f'{name}.png')
