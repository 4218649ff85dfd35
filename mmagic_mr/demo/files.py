"""Writing the demo's datasets."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

FIRST_VAL = 10**6  # number of the first validation scene


def write_set(
    root: str | Path,
    write: Callable[[Path, str, int], None],
    kinds: Sequence[str] = ('',),
    *,
    num_train: int,
    num_val: int,
    **settings,
) -> Path:
    """Write ``root/train`` and ``root/val``, unless they are there already.

    ``root/scenes.json`` says what was written; where it asks for the same set, nothing
    is done.

    Args:
        root: folder to write to.
        write: called with the folder of the split, the name of the file without suffix,
            and the number of the scene; writes the PNG files of that scene.
        kinds: folders below those of the splits.
        num_train: number of training scenes.
        num_val: number of validation scenes.
        settings: everything else that the files depend on.

    Returns:
        ``root`` as a Path.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     root = write_set(folder, lambda *place: print(place[1:]), num_train=2,
        ...                      num_val=1)
        ('00000', 0)
        ('00001', 1)
        ('00000', 1000000)
    """
    root = Path(root)
    manifest = root / 'scenes.json'
    wanted = dict(train=num_train, val=num_val, **settings)
    if manifest.is_file() and json.loads(manifest.read_text()) == wanted:
        return root
    manifest.unlink(missing_ok=True)
    for split, first, count in ('train', 0, num_train), ('val', FIRST_VAL, num_val):
        for kind in kinds:
            folder = root / split / kind
            folder.mkdir(parents=True, exist_ok=True)
            for old in folder.glob('*.png'):
                old.unlink()
        for index in range(count):
            write(root / split, f'{index:05d}', first + index)
    manifest.write_text(json.dumps(wanted))  # last: a half-written set is made anew
    return root
