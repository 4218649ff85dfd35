"""What is known of a picture of letters: the `truth` of the configs on fonts.

The answers are all that there are, each as likely as the others; so mean and variance
are sums over them, and exact.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from mmagic_mr.data.letter_files import letters_of
from mmagic_mr.data.letters.atlas import Atlas, read_atlas
from mmagic_mr.data.letters.render import CHARACTERS, HEIGHT, WIDTH

LEFT, RIGHT = (0, 0, HEIGHT, WIDTH), (0, WIDTH, HEIGHT, WIDTH)


@dataclass(frozen=True)
class Letters:
    """The law of the pictures that belong to one input: equal parts of the answers.

    Attributes:
        answers: RGB (M,64,64,3), uint8.
        parts: boxes (top, left, height, width) that are of one typeface in an answer,
            where each answer is of a typeface of its own; else none.
    """

    answers: np.ndarray
    parts: tuple[tuple[int, int, int, int], ...] = ()
    complete = True

    @property
    def mean(self) -> np.ndarray:
        """(3,64,64), 0..255."""
        return self._moment(np.mean)

    @property
    def var(self) -> np.ndarray:
        """(3,64,64), in 255^2."""
        return self._moment(np.var)

    def draw(self, rng: np.random.Generator) -> np.ndarray:
        """One of the answers."""
        return self.answers[rng.integers(len(self.answers))]

    def _moment(self, function):
        # The three channels are one, so their order is none
        gray = function(self.answers[..., 0].astype(np.float64), 0)
        return np.repeat(gray[None], 3, 0)


@lru_cache(maxsize=4)  # several metrics ask for one input
def styled_pair(path: str) -> Letters:
    """For ``letters://ROOT/pairs/SPLIT/NAME.bmp``: the pair in every typeface.

    In those for training; where NAME's typeface is held out, in those held out.
    """
    root, pair, face = letters_of(path)
    atlas = read_atlas(root)
    faces = _of_the_same_set(atlas, face)
    return Letters(
        _colored([atlas.picture(pair, face) for face in faces]), (LEFT, RIGHT)
    )


@lru_cache(maxsize=4)
def any_right_letter(path: str) -> Letters:
    """For ``letters://ROOT/gt/SPLIT/NAME.bmp``: any character beside the left one.

    All 62 of them, in the typeface of the left one, which is given.
    """
    root, pair, face = letters_of(path)
    atlas = read_atlas(root)
    return Letters(
        _colored([atlas.picture(pair[0] + right, face) for right in CHARACTERS])
    )


def _of_the_same_set(atlas: Atlas, face: str) -> tuple[str, ...]:
    return atlas.held_out if face in atlas.held_out else atlas.faces


def _colored(pictures):
    return np.repeat(np.stack(pictures)[..., None], 3, -1)
