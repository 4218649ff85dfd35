"""Which of a stranger's pictures can be taken, and why the others cannot.

Nobody's own pictures are all in order. What cannot be used is left out and counted,
with the reason; only where nothing is left is it an error.
"""

import zlib
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

from mmagic_mr.data.prepare.files import first_few
from mmagic_mr.data.prepare.parallel import parallel
from mmagic_mr.errors import MissingFileError, UserError
from mmagic_mr.io import is_image

SPLITS = ('train', 'val')
TWICE = 'two files of one name'
Files = tuple[Path, ...]


class Selection:
    """Items by name, each of one file or more, and what was left out.

    Attributes:
        taken: ``{name: files}``, in order of name.
        left_out: ``{reason: what}``: names, or sentences that name the file.
    """

    def __init__(self) -> None:
        self.taken: dict[str, Files] = {}
        self.left_out: dict[str, list[str]] = {}

    def leave_out(self, reason: str, what: Iterable[str]) -> None:
        """Notes what is not taken."""
        if what := list(what):
            self.left_out.setdefault(reason, []).extend(what)

    def take(self, items: dict[str, Files]) -> None:
        """Takes items, but none that would be written over another one."""
        first_of: dict[str, str] = {}
        for name, files in sorted(items.items()):
            first = first_of.setdefault(output_name(name), name)
            if first == name:
                self.taken[name] = files
            else:
                self.leave_out(f'would become the file of {first}', [name])

    def list_folder(self, folder: Path) -> dict[str, Path]:
        """Pictures of a folder and its subfolders, by path without suffix.

        Files that are no pictures by their suffix, and two of one name, are left out.

        Raises:
            UserError: the folder is missing.
        """
        if not folder.is_dir():
            raise MissingFileError(f'folder {folder} is missing')
        found: dict[str, list[Path]] = {}
        others = []
        for path in sorted(folder.rglob('*')):
            if path.name.startswith('.') or not path.is_file():
                continue
            if is_image(path):
                found.setdefault(name_of(path, folder), []).append(path)
            else:
                others.append(str(path))
        self.leave_out('no picture by the suffix', others)
        twice = {name: paths for name, paths in found.items() if len(paths) > 1}
        for paths in twice.values():
            self.leave_out(TWICE, [' and '.join(map(str, paths))])
        return {name: paths[0] for name, paths in found.items() if name not in twice}

    def examine(
        self, check: Callable[[Files], tuple[str, str] | None], workers: int
    ) -> None:
        """Leaves out what ``check`` has a word against.

        Args:
            check: gets an item's files; returns a reason and a sentence, or None. It
                has to be picklable, since it runs in other processes.
            workers: number of them.
        """
        wrong = {}
        items = self.taken.items()
        for name, words in parallel(partial(_apply, check), items, workers, 'check'):
            if words is not None:
                wrong[name] = words
        for name in sorted(wrong):
            reason, sentence = wrong[name]
            del self.taken[name]
            self.leave_out(reason, [sentence])

    def split(self, part: float) -> dict[str, dict[str, Files]]:
        """The items of train and val.

        Which are in val is drawn by their names, so that it does not depend on the
        machine: see `drawn_for_val`.

        Raises:
            UserError: fewer than two items, one for each.
        """
        if len(self.taken) < 2:
            raise UserError(
                f'{len(self.taken)} of {self.found} can be used, and two are needed, '
                f'one for val. {self.reasons()}'
            )
        val = drawn_for_val(self.taken, part)
        train = {name: path for name, path in self.taken.items() if name not in val}
        return {'train': train, 'val': {name: self.taken[name] for name in sorted(val)}}

    @property
    def found(self) -> int:
        """How many there were, those left out among them."""
        return len(self.taken) + sum(map(len, self.left_out.values()))

    def reasons(self) -> str:
        """Why what was left out, in one line."""
        if not self.left_out:
            return 'Nothing was left out'
        lines = (f'{reason}: {first_few(w)}' for reason, w in self.left_out.items())
        return f'Left out: {"; ".join(lines)}'

    def report(self, counts: dict[str, int], what: str) -> str:
        """What was taken and left out, a line for each reason."""
        parts = ', '.join(f'{number} {split}' for split, number in counts.items())
        lines = [f'taken: {sum(counts.values())} {what} ({parts})']
        number = sum(map(len, self.left_out.values()))
        lines += [f'left out: {number}'] * bool(number)
        lines += [f'  {reason}: {first_few(w)}' for reason, w in self.left_out.items()]
        return '\n'.join(lines)


def name_of(path: Path, folder: Path) -> str:
    """What a file is called after: its path below the folder, without the suffix.

    Example:
        >>> name_of(Path('a/2019/x.JPG'), Path('a'))
        '2019/x'
    """
    return path.relative_to(folder).with_suffix('').as_posix()


def output_name(name: str) -> str:
    """A name as that of a file in one folder.

    Example:
        >>> output_name('2019/x')
        '2019_x.png'
    """
    return f'{name.replace("/", "_")}.png'


def drawn_for_val(names: Iterable[str], part: float) -> set[str]:
    """This part of the names, at least one and not all, by their check sums.

    Example:
        >>> drawn_for_val(['a', 'b', 'c'], 0.1)
        {'c'}
    """
    ranked = sorted(names, key=lambda name: (zlib.crc32(name.encode()), name))
    number = max(1, min(round(part * len(ranked)), len(ranked) - 1))
    return set(ranked[:number])


def _apply(check, item):
    name, files = item
    return name, check(files)
