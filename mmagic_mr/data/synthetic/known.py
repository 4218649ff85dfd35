"""What is known of a validation file of the demos: the `truth` of their configs."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mmagic_mr.data.pictures import read_rgb
from mmagic_mr.data.synthetic import inpaint, scenes, sr
from mmagic_mr.data.synthetic.scenes import LOOKS, Truth


@dataclass(frozen=True)
class Known:
    """The law of the pictures that belong to one input.

    Attributes:
        mean, var: (3,H,W), in MMagic's order and range: BGR, 0..255 and its square.
        draw: a random generator to a picture, RGB (H,W,3), uint8.
    """

    mean: np.ndarray
    var: np.ndarray
    draw: Callable[[np.random.Generator], np.ndarray]


def photo_of_pair(path: str | Path) -> Known:
    """For ``root/val/<number>.png``: photos of the label map."""
    pair = _read(path)
    labels = scenes.read_labels(pair[:, pair.shape[1] // 2 :])
    truth = scenes.scene_truth(labels).bgr255()
    return Known(
        truth.mean,
        truth.var,
        lambda rng: scenes.take_photo(labels, rng.integers(len(LOOKS)), rng),
    )


def large_of_small(path: str | Path) -> Known:
    """For ``root/val/lq/<number>.png``: engravings of the small picture."""
    small = _read(path)
    truth = sr.engraving_truth(small).bgr255()
    return Known(truth.mean, truth.var, lambda rng: sr.engrave(small, rng))


def filled_hole(path: str | Path) -> Known:
    """For ``root/val/gt/<number>.png``: the photo with another poster in the hole.

    What lies outside the hole is the file's, to the last bit: it is given.
    """
    scene, photo = inpaint.scene_of_file(path), _read(path)
    truth = Truth.of_modes(inpaint.inpainting_photos(scene)).bgr255()
    given = photo.transpose(2, 0, 1)[::-1]

    def draw(rng):
        which = rng.integers(len(inpaint.POSTERS))
        drawn = inpaint.take_inpainting_photo(scene, which, rng)
        return np.where(scene.mask[..., None], drawn, photo)

    return Known(
        np.where(scene.mask, truth.mean, given),
        np.where(scene.mask, truth.var, 0.0),
        draw,
    )


def _read(path):
    return np.asarray(read_rgb(path))
