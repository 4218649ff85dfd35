"""Label map -> photo pairs whose conditional distribution is known in closed form.

A scene is a label map: sky, hill, ground, road, trees and houses. Its photo is taken
in one of four looks (a summer noon, an autumn dusk, a night, a winter day), each as
likely as the others, with a little camera noise:

    p(y | x) = 1/4 sum_m N(y; mu_m(x), s^2 I)

The look is drawn for the whole picture, so the pixels of a photo go together, and the
mean over the looks is a picture that never occurs. With values in [0, 1],

    E(y | x) = mean_m mu_m,    Var(y | x) = var_m mu_m + s^2 + (1/255)^2 / 12

(the last term is the rounding to 8 bits). NumPy only: no network, no torch.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from mmagic_mr.data.pictures import read_rgb
from mmagic_mr.data.synthetic.files import write_set
from mmagic_mr.errors import UserError

CAMERA_NOISE = 0.5 / 255

# RGB of each class in the label map, as Cityscapes paints its classes, and by look.
# No value comes nearer to 0 or 255 than shading and noise reach, so that no photo is
# ever clipped and the moments stay exact.
# fmt: off
_COLORS = (
    # class    label     noon      dusk      night     winter
    ('sky',    0x4682b4, 0x6ab8ec, 0xe88e3e, 0x1a1e5c, 0xbeccdc),
    ('hill',   0x98fb98, 0x46966e, 0x964854, 0x202242, 0xbecce0),
    ('ground', 0xf423e8, 0x68be42, 0xa05424, 0x1c3442, 0xe6e8ee),
    ('road',   0x804080, 0x8c8c92, 0x60343e, 0x2c2846, 0xb2b6c4),
    ('tree',   0x6b8e23, 0x24742e, 0xdc741c, 0x182834, 0x96b6be),
    ('wall',   0xdcdc00, 0xe2c89c, 0x9c544c, 0x3c3a68, 0x7c809a),
    ('roof',   0xdc143c, 0xce4a38, 0x561e28, 0x282252, 0xdee2ea),
    ('window', 0x00008e, 0x5474a0, 0xecaa54, 0xe8d66e, 0x343e58),
)
# fmt: on
CLASSES = tuple(name for name, *_ in _COLORS)
SKY, HILL, GROUND, ROAD, TREE, WALL, ROOF, WINDOW = range(len(CLASSES))
LOOKS = ('noon', 'dusk', 'night', 'winter')
_RGB = np.array([colors for _, *colors in _COLORS])[..., None] >> (16, 8, 0) & 255
LABEL_COLORS = _RGB[:, 0].astype(np.uint8)
PALETTE = _RGB[:, 1:].swapaxes(0, 1) / 255  # look, class, channel; in [0, 1]

# Light falls off from the horizon (top of the sky) or towards it (the land), more in
# some looks than in others: what is added at the far end, in [0, 1].
SKY_SHADE = np.array(
    [
        (-0.16, -0.12, -0.04),
        (-0.24, -0.16, 0.06),
        (-0.04, -0.05, -0.10),
        (-0.10, -0.08, -0.06),
    ]
)
LAND_SHADE = np.array([0.05, 0.08, 0.03, -0.06])


class Truth(NamedTuple):
    """What is known about the photos of one label map.

    Attributes:
        modes: the noise-free photo in each look (4,3,H,W), RGB in [0, 1].
        mean: mean over all photos (3,H,W).
        var: variance over all photos (3,H,W).
    """

    modes: np.ndarray
    mean: np.ndarray
    var: np.ndarray

    @classmethod
    def of_modes(cls, modes: np.ndarray) -> 'Truth':
        """Truth for noise-free pictures (M,3,H,W) that are equally likely."""
        rounding = (1 / 255) ** 2 / 12
        return cls(modes, modes.mean(0), modes.var(0) + CAMERA_NOISE**2 + rounding)

    def bgr255(self) -> 'Truth':
        """The same in MMagic's order and range: BGR, 0..255, variance in 255^2.

        Example:
            >>> truth = scene_truth(scene_labels(0)).bgr255()
            >>> truth.modes.shape, bool(truth.mean.max() > 1)
            ((4, 3, 32, 32), True)
        """
        return Truth(
            self.modes[:, ::-1] * 255, self.mean[::-1] * 255, self.var[::-1] * 255**2
        )


def scene_labels(index: int, size: int = 32, seed: int = 0) -> np.ndarray:
    """Draw the label map of scene number ``index``.

    Args:
        index: number of the scene; with ``seed`` it fixes the scene.
        size: side in pixels, 16 or more.
        seed: seed of the whole set.

    Returns:
        Class numbers (see ``CLASSES``), uint8 of shape (size, size).

    Raises:
        UserError: if ``size`` is below 16.

    Example:
        >>> labels = scene_labels(3, size=32)
        >>> labels.shape, CLASSES[labels[0, 0]]
        ((32, 32), 'sky')
    """
    if size < 16:
        raise UserError(f'size is {size}: a scene needs 16 pixels or more')
    rng = np.random.default_rng([seed, index])
    # All lengths below are in units of a 32-pixel scene.
    y, x = (np.mgrid[:size, :size] + 0.5) * (32 / size)
    labels = np.full((size, size), SKY, dtype=np.uint8)
    horizon = rng.uniform(12, 19)

    ridge = sum(
        rng.uniform(0.6, 2.0)
        * np.sin(x * rng.uniform(0.12, 0.4) + rng.uniform(0, 2 * np.pi))
        for _ in range(2)
    )
    labels[y > horizon - rng.uniform(1, 4) + ridge] = HILL
    labels[y > horizon] = GROUND

    if rng.random() < 0.75:
        vanish, foot = rng.uniform(6, 26), rng.uniform(2, 30)
        depth = (y - horizon) / (32 - horizon)
        middle = vanish + (foot - vanish) * depth
        half = 0.6 + rng.uniform(4, 7) * depth
        labels[(y > horizon) & (np.abs(x - middle) < half)] = ROAD

    for _ in range(rng.integers(1, 3)):
        if rng.random() < 0.55:
            add_house(labels, x, y, horizon, rng)
        else:
            add_tree(labels, x, y, horizon, rng)
    return labels


def add_tree(labels, x, y, horizon, rng):
    left, foot = rng.uniform(1, 31), horizon + rng.uniform(1, 9)
    radius = rng.uniform(3, 5)
    labels[(np.abs(x - left) < 1) & (y < foot) & (y > foot - 2 * radius)] = TREE
    crown = (x - left) ** 2 + ((y - foot + radius + 3) / 1.2) ** 2 < radius**2
    labels[crown] = TREE


def add_house(labels, x, y, horizon, rng):
    width, height = rng.uniform(10, 15), rng.uniform(6, 9)
    left, foot = rng.uniform(-2, 31 - width / 2), horizon + rng.uniform(2, 9)
    top = foot - height
    wall = (x > left) & (x < left + width) & (y > top) & (y <= foot)
    rise = width * rng.uniform(0.35, 0.5)
    slope = (y - top + rise) / rise
    roof = (
        (y <= top)
        & (slope > 0)
        & (np.abs(x - left - width / 2) < slope * (width / 2 + 0.8))
    )
    labels[wall], labels[roof] = WALL, ROOF
    for side in (0.25, 0.75):
        window = (np.abs(x - left - side * width) < 1.5) & (
            np.abs(y - top - 0.45 * height) < 1.6
        )
        labels[window & wall] = WINDOW


def look_photos(labels: np.ndarray) -> np.ndarray:
    """The noise-free photo of a scene in each of the four looks.

    Args:
        labels: class numbers (H,W).

    Returns:
        Pictures (4,3,H,W), RGB in [0, 1], in the order of ``LOOKS``.

    Example:
        >>> noon, dusk, night, winter = look_photos(scene_labels(0))
        >>> bool(night.mean() < noon.mean() < winter.mean())
        True
    """
    height = labels.shape[0]
    row = ((np.arange(height) + 0.5) / height)[None, None, :, None]
    photos = PALETTE[:, labels].transpose(0, 3, 1, 2)
    shade = np.where(
        labels == SKY,
        SKY_SHADE[:, :, None, None] * (1 - row),
        LAND_SHADE[:, None, None, None] * (row - 0.5),
    )
    return photos + shade


def scene_truth(labels: np.ndarray) -> Truth:
    """True modes, mean and variance of the photos of a label map.

    Args:
        labels: class numbers (H,W).

    Returns:
        Truth in RGB and [0, 1]; ``.bgr255()`` gives MMagic's order and range.

    Example:
        >>> truth = scene_truth(scene_labels(0))
        >>> bool(truth.var.min() > CAMERA_NOISE ** 2)
        True
    """
    return Truth.of_modes(look_photos(labels))


def take_photo(labels: np.ndarray, look: int, rng: np.random.Generator) -> np.ndarray:
    """One photo of a scene as a file holds it, camera noise and rounding included.

    Args:
        labels: class numbers (H,W).
        look: 0..3, an index of ``LOOKS``.
        rng: source of the camera noise.

    Returns:
        RGB picture (H,W,3), uint8.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> take_photo(scene_labels(0), 2, rng).shape
        (32, 32, 3)
    """
    return camera(look_photos(labels)[look], rng)


def camera(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A noise-free picture as a file holds it: with noise, and rounded.

    Args:
        picture: RGB in [0, 1], (3,H,W).
        rng: source of the noise.

    Returns:
        RGB picture (H,W,3), uint8.
    """
    clean = picture.transpose(1, 2, 0)
    noisy = clean + CAMERA_NOISE * rng.standard_normal(clean.shape)
    return np.rint(noisy * 255).clip(0, 255).astype(np.uint8)


def paint_labels(labels: np.ndarray) -> np.ndarray:
    """Class numbers (H,W) to the label picture (H,W,3), RGB uint8.

    Example:
        >>> labels = scene_labels(5)
        >>> bool((read_labels(paint_labels(labels)) == labels).all())
        True
    """
    return LABEL_COLORS[labels]


def read_labels(picture: np.ndarray) -> np.ndarray:
    """The class numbers (H,W) of a label picture (H,W,3), RGB uint8.

    Raises:
        UserError: if a color is none of ``LABEL_COLORS``.

    Example:
        >>> read_labels(LABEL_COLORS[None, :3])
        array([[0, 1, 2]])
    """
    same = (picture[:, :, None] == LABEL_COLORS).all(-1)
    if not same.any(-1).all():
        row, column = np.argwhere(~same.any(-1))[0]
        raise UserError(
            f'color {tuple(map(int, picture[row, column]))} at row {row}, column '
            f'{column} is no label color of the demo scenes: not a label picture, or '
            'one that was resized or compressed'
        )
    return same.argmax(-1)


def truth_of_pair(path: str | Path) -> Truth:
    """Truth for a pair file (photo | label), in MMagic's order and range.

    Args:
        path: PNG file as ``write_pairs`` makes it.

    Returns:
        Truth in BGR, 0..255; variance in units of 255^2.
    """
    pair = np.asarray(read_rgb(path))
    return scene_truth(read_labels(pair[:, pair.shape[1] // 2 :])).bgr255()


def write_pairs(root: str | Path, **options) -> Path:
    """Write the dataset as PNG files, photo and label map side by side.

    ``root/train`` and ``root/val`` hold different scenes, each photographed once, in
    a look drawn at random.

    Args:
        root: folder to write to.
        options: numbers of scenes, side of a picture, seed; see :func:`write_set`.

    Returns:
        ``root`` as a Path.
    """
    return write_set(root, _write_pair, version=2, **options)


def _write_pair(folder, name, index, size, seed):
    labels = scene_labels(index, size, seed)
    rng = np.random.default_rng([seed, index, 1])
    photo = take_photo(labels, rng.integers(len(LOOKS)), rng)
    pair = np.concatenate([photo, paint_labels(labels)], axis=1)
    Image.fromarray(pair).save(folder / f'{name}.png')
