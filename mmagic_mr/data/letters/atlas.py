"""The data set in its folder, and the pictures of pairs that it stands for.

A pair of characters in a typeface is two cells side by side. With 62 characters and
100 typefaces there are 384,400 such pictures, and 6,200 cells are all that is in them:
so the folder has a strip of cells for each typeface, and pictures are put together when
they are asked for: 100 files of 1.4 MB in all, not 384,400 of 215 MB.
"""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mmagic_mr.data.letters.render import CHARACTERS, HEIGHT, WIDTH
from mmagic_mr.data.pictures import read_rgb
from mmagic_mr.errors import MissingFileError, UserError
from mmagic_mr.io import read_json

COMMAND = 'python tools/prepare_data.py fonts DST'
PAIRS = tuple(left + right for left in CHARACTERS for right in CHARACTERS)


def is_held_out(pair: str) -> bool:
    """Whether a pair of characters is in no training set: every tenth one.

    Not every tenth of a list, where some letters would never be on the right: each
    character is in six or seven of them on either side.

    Example:
        >>> sum(map(is_held_out, PAIRS)), is_held_out('00'), is_held_out('Ab')
        (385, True, False)
    """
    left, right = map(CHARACTERS.index, pair)
    return (left + 3 * right) % 10 == 0


class Split(NamedTuple):
    """Which pictures: pairs of characters, typefaces.

    Attributes:
        pairs: function that says of a pair whether it is in.
        held_out: the typefaces are those of the families that are held out.
        every: each pair in each typeface; else each once, typefaces dealt in turn.
    """

    pairs: object
    held_out: bool
    every: bool


def _rest(pair):
    return not is_held_out(pair)


def _any(pair):
    return True


SPLITS = {
    'train': Split(_rest, held_out=False, every=True),
    'val': Split(is_held_out, held_out=False, every=False),
    'test': Split(is_held_out, held_out=True, every=False),
    # For inpainting: its input does not show the letter on the right
    'train_any': Split(_any, held_out=False, every=True),
}


@dataclass(frozen=True)
class Atlas:
    """Cells of all typefaces.

    Attributes:
        root: folder that `tools/prepare_data.py fonts` made.
        plain: name of the typeface of the inputs; it is no target.
        faces: names of the targets' typefaces whose families are not held out.
        held_out: those of the others.
        cells: name to the cells of all characters, gray.
    """

    root: Path
    plain: str
    faces: tuple[str, ...]
    held_out: tuple[str, ...]
    cells: dict[str, np.ndarray]

    def faces_of(self, split: str) -> tuple[str, ...]:
        """The typefaces of a split."""
        return self.held_out if SPLITS[split].held_out else self.faces

    def names(self, split: str) -> list[str]:
        """Names of the pictures of a split: the pair, a point, the typeface."""
        _, _, every = chosen = SPLITS[split]
        pairs = [pair for pair in PAIRS if chosen.pairs(pair)]
        faces = self.faces_of(split)
        if every:
            return [f'{pair}.{face}' for pair in pairs for face in faces]
        dealt = (faces[i % len(faces)] for i in range(len(pairs)))
        return [f'{pair}.{face}' for pair, face in zip(pairs, dealt, strict=True)]

    def picture(self, pair: str, face: str) -> np.ndarray:
        """Two characters side by side, (64, 64), uint8."""
        cells = self.cells[face]
        return np.concatenate([cells[CHARACTERS.index(one)] for one in pair], 1)


@lru_cache(maxsize=2)
def read_atlas(root: str | Path) -> Atlas:
    """The data set in a folder.

    Raises:
        MissingFileError: there is none.
        UserError: its note or a file of it is missing or none that the command writes.
    """
    root = Path(root)
    path = note_path(root)
    if not path.is_file():
        raise MissingFileError(
            f'data set {root} is missing. Make it with: '
            f'{COMMAND.replace("DST", str(root))}'
        )
    note = read_json(path, 'note of a data set of letters')
    try:
        plain = note['settings']['plain']
        faces, held_out = (tuple(note[key]) for key in ('training', 'held_out'))
    except (KeyError, TypeError):
        raise UserError(
            f'{path} is no note of a data set of letters: make it anew with {COMMAND}'
        ) from None
    cells = {face: _read_cells(root, face) for face in (plain, *faces, *held_out)}
    return Atlas(root, plain, faces, held_out, cells)


def note_path(root: str | Path) -> Path:
    """The file that says what is in the folder."""
    return Path(root, 'manifest.json')


def strip_path(root: Path, face: str) -> Path:
    """File of a typeface's cells, side by side."""
    return root / 'typefaces' / f'{face}.png'


def _read_cells(root, face):
    path = strip_path(root, face)
    strip = np.asarray(read_rgb(path))[..., 0]
    if strip.shape != (HEIGHT, WIDTH * len(CHARACTERS)):
        raise UserError(
            f'{path} is {strip.shape[1]}x{strip.shape[0]}, not a strip of '
            f'{len(CHARACTERS)} cells: delete it and run {COMMAND}'
        )
    return np.stack(np.split(strip, len(CHARACTERS), axis=1))
