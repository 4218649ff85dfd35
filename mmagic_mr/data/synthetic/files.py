"""Writing the demo's datasets."""

import contextlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path

from mmagic_mr.errors import UserError
from mmagic_mr.io import read_json, write_text

FIRST_VAL = 10**6  # number of the first validation scene


def write_set(
    root: str | Path,
    write: Callable[[Path, str, int, int, int], None],
    kinds: Sequence[str] = ('',),
    *,
    num_train: int = 4096,
    num_val: int = 64,
    size: int = 32,
    seed: int = 0,
    version: int = 1,
) -> Path:
    """Write ``root/train`` and ``root/val``, unless they are there already.

    ``root/scenes.json`` says what was written; where it asks for the same set, nothing
    is done.

    Args:
        root: folder to write to.
        write: called with the folder of the split, the name of the file without suffix,
            the number of the scene, ``size`` and ``seed``; writes the PNG files of that
            scene.
        kinds: folders below those of the splits.
        num_train: number of training scenes.
        num_val: number of validation scenes.
        size: side of a picture in pixels.
        seed: fixes everything.
        version: of what ``write`` draws; another one is another set.

    Returns:
        ``root`` as a Path.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     root = write_set(folder, lambda *place: print(place[1:]), num_train=2,
        ...                      num_val=1)
        ('00000', 0, 32, 0)
        ('00001', 1, 32, 0)
        ('00000', 1000000, 32, 0)
    """
    root = Path(root)
    manifest = root / 'scenes.json'
    wanted = dict(train=num_train, val=num_val, size=size, seed=seed, version=version)
    with contextlib.suppress(UserError):  # a broken note: the set is made anew
        if manifest.is_file() and read_json(manifest, 'note of a set') == wanted:
            return root
    manifest.unlink(missing_ok=True)
    for split, first, count in ('train', 0, num_train), ('val', FIRST_VAL, num_val):
        for kind in kinds:
            folder = root / split / kind
            folder.mkdir(parents=True, exist_ok=True)
            for old in folder.glob('*.png'):
                old.unlink()
        for index in range(count):
            write(root / split, f'{index:05d}', first + index, size, seed)
    write_text(manifest, json.dumps(wanted))  # last: a half-written set is made anew
    return root
