"""Pictures of letters as files: a storage backend of mmengine for the prefix letters://.

MMagic's data sets and transforms read files by the prefix of their path, and so read
these pictures too, though none of them is on the disk:

- ``letters://ROOT/pairs/SPLIT/NAME.bmp``: target | input, 128x64;
- ``letters://ROOT/gt/SPLIT/NAME.bmp``: the target alone, 64x64;
- ``letters://ROOT/lq/SPLIT/NAME.bmp``: the target reduced to 16x16.

SPLIT and NAME are those of :mod:`mmagic_mr.data.letters.atlas`. They are bitmaps, since
these take no time to encode and decode.
"""

import cv2
import numpy as np
from mmengine.fileio import BaseStorageBackend, register_backend
from PIL import Image

from mmagic_mr.data.letters.atlas import SPLITS, note_path, read_atlas
from mmagic_mr.data.pictures import resize
from mmagic_mr.errors import MissingFileError

PREFIX = 'letters'
SUFFIX = '.bmp'
SMALL = 16
KINDS = ('pairs', 'gt', 'lq')


@register_backend(PREFIX, prefixes=PREFIX, force=True)
class LettersBackend(BaseStorageBackend):
    """Reads the pictures that a folder of `tools/prepare_data.py fonts` stands for."""

    def get(self, filepath: str) -> bytes:
        """The picture of that name, as a bitmap.

        Raises:
            MissingFileError: There is none of that name, or no data set.
        """
        kind, split = _parts(filepath)[1:3]
        root, pair, face = letters_of(filepath)
        atlas = read_atlas(root)
        if kind not in KINDS or split not in SPLITS or face not in atlas.cells:
            raise MissingFileError(f'no picture {filepath}')
        picture = atlas.picture(pair, face)
        if kind == 'pairs':
            picture = np.concatenate([picture, atlas.picture(pair, atlas.plain)], 1)
        if kind == 'lq':
            picture = np.asarray(resize(Image.fromarray(picture), SMALL, SMALL))
        # Three equal channels: networks and metrics are made for colors
        return cv2.imencode(SUFFIX, np.repeat(picture[..., None], 3, 2))[1].tobytes()

    def get_text(self, filepath: str) -> str:
        """There are no texts."""
        raise MissingFileError(f'no text {filepath}')

    def isdir(self, filepath: str) -> bool:
        """Whether it is a folder of pictures, and the data set is there."""
        root, kind, split = _parts(f'{filepath.rstrip("/")}/')[:3]
        return kind in KINDS and split in SPLITS and note_path(root).is_file()

    def join_path(self, filepath: str, *others: str) -> str:
        """Parts of a path put together."""
        return '/'.join([filepath.rstrip('/'), *others])

    def list_dir_or_file(self, dir_path: str, **kwargs) -> list[str]:
        """Names of the pictures in a folder; nothing lies below it."""
        root, _, split = _parts(f'{dir_path.rstrip("/")}/')[:3]
        return [name + SUFFIX for name in read_atlas(root).names(split)]


def letters_of(path: str) -> tuple[str, str, str]:
    """Folder of the data set, pair of characters and typeface of a picture.

    Raises:
        MissingFileError: It is no path of such a picture.

    Example:
        >>> letters_of('letters://data/fonts/gt/val/Ab.Lato-Black.bmp')
        ('data/fonts', 'Ab', 'Lato-Black')
    """
    root, _, _, name = _parts(path)
    pair, dot, face = name[:2], name[2:3], name[3:].removesuffix(SUFFIX)
    if dot != '.' or not face:
        raise MissingFileError(f'no picture {path}')
    return root, pair, face


def _parts(path):
    """Root, kind, split, name."""
    parts = str(path).removeprefix(f'{PREFIX}://').rsplit('/', 3)
    if len(parts) < 4:
        raise MissingFileError(
            f'{path}: {PREFIX}://ROOT/KIND/SPLIT/NAME is needed, KIND one of '
            f'{", ".join(KINDS)}, SPLIT one of {", ".join(SPLITS)}'
        )
    return parts
