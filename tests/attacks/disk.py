"""Disks that are full at some point of a training, a test, a report, a study.

What is left under its final name must be whole, and the tool must say in one line why
it stopped. The disk is a small tmpfs; who may not mount one gets a limit of the size of
each file instead, which fails a little differently (EFBIG, within large files alone).
"""

import contextlib
import json
import resource
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from attacks import kill_loop, training
from attacks.training import End


@dataclass
class Outcome:
    """What came of the full disks of one tool."""

    tool: str
    full: int = 0
    failures: list[str] = field(default_factory=list)


@contextlib.contextmanager
def small_disk(folder: Path, size: int) -> Iterator[Callable[[], None] | None]:
    """A folder that holds so many bytes.

    Yields:
        What a process calls first that is to be bound by the limit; None: all are.
    """
    folder.mkdir(parents=True)
    mount = ['mount', '-t', 'tmpfs', '-o', f'size={size}', 'tmpfs', folder]
    try:
        mounted = not subprocess.run(mount, capture_output=True, check=False).returncode
    except FileNotFoundError:
        mounted = False

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    try:
        yield None if mounted else limit
    finally:
        if mounted:
            subprocess.run(['umount', '-l', folder], check=True)
        shutil.rmtree(folder)


def half_written(folder: Path) -> list[str]:
    """Files under a final name that cannot be read.

    Logs and the curves beside them grow line by line: the last one may be cut.
    """
    found = []
    for path in sorted(folder.rglob('*')):
        hidden = any(part.startswith('.') for part in path.relative_to(folder).parts)
        if path.is_file() and not hidden and 'vis_data' not in path.parts:
            try:
                _read(path)
            except Exception as error:
                found.append(f'{path.relative_to(folder)} ({type(error).__name__})')
    return found


def _read(path):
    if path.suffix == '.pth':
        import torch

        torch.load(path, map_location='cpu', weights_only=False)
    elif path.suffix == '.json':
        json.loads(path.read_text())
    elif path.suffix == '.png':
        from PIL import Image

        with Image.open(path) as image:
            image.load()
    elif path.suffix == '.html':
        if not path.read_text().rstrip().endswith(('</script>', '</html>')):
            raise ValueError('it breaks off')
    elif path.name == 'last_checkpoint' and 'iter_' not in path.read_text():
        raise ValueError('it names no checkpoint')


def attack(
    name: str,
    run: Callable[[Path, Callable | None], End],
    folder: Path,
    fractions: tuple[float, ...],
    rest: Callable[[Path], list[str]] = half_written,
    say=print,
) -> Outcome:
    """Runs a tool on disks that hold a part of what it writes.

    Args:
        name: of the tool, for people.
        run: called with a folder to write into and what a process calls first.
        folder: for the disks.
        fractions: sizes, as parts of what the tool needs.
        rest: says what is wrong with what it left.
        say: is told of each run.
    """
    outcome = Outcome(name)
    with small_disk(folder / 'large', 2**30) as prepare:
        end = run(folder / 'large', prepare)
        if end.status:
            raise RuntimeError(f'{name} does not run: {end.output}')
        files = [p for p in (folder / 'large').rglob('*') if p.is_file()]
        needed = sum(p.stat().st_size for p in files)
    for fraction in fractions:
        disk = folder / f'{name.replace(" ", "_")}_{fraction}'
        with small_disk(disk, max(4096, int(needed * fraction))) as prepare:
            end = run(disk, prepare)
            failures = rest(disk)
        if end.status == 0:  # the limit of a file's size may not have been met
            say(f'{name}, {fraction:.0%} of {needed} bytes: it ended')
            continue
        outcome.full += 1
        if not end.is_one_line:
            failures.append(f'raw: {end.last_line}')
        outcome.failures += [f'{failure} (at {fraction:.0%})' for failure in failures]
        say(
            f'{name}, {fraction:.0%} of {needed} bytes: {end.last_line}: '
            f'{"; ".join(failures) or "nothing half-written"}'
        )
    return outcome


def tools(folder: Path, host: str = 'srgan'):
    """The tools that write, as `attack` takes them: name, run, rest.

    Args:
        folder: for data, configs and a whole run.
        host: whose training it is.
    """
    victim = kill_loop.Victim(host, folder / 'victim')
    checkpoint = victim.folder / 'whole' / f'iter_{training.ITERATIONS}.pth'
    pictures = folder / 'victim/data/train/gt'
    fakes = shutil.copytree(pictures, folder / 'fakes')

    def train(disk, prepare):
        arguments = [victim.config, '--work-dir', disk]
        return training.run_tool('train.py', arguments, disk, None, prepare)

    def test(disk, prepare, out=None):
        arguments = [victim.config, checkpoint, '--stand-in', '--out']
        arguments += [out or disk / 'run.json', '--work-dir', folder / 'test']
        return training.run_tool('test.py', arguments, disk, None, prepare)

    def report(disk, prepare):
        if not (folder / 'run.json').exists():
            test(folder / 'unused', None, folder / 'run.json')
        arguments = [folder / 'run.json', '--out', disk]
        return training.run_tool('report.py', arguments, disk, None, prepare)

    def study(disk, prepare):
        arguments = ['make', disk / 'study', '--real', pictures, '--practice', '2']
        arguments += ['--method', f'x={fakes}', '--per-method', '2']
        return training.run_tool('study.py', arguments, disk, None, prepare)

    def nothing(disk):
        return [f'{path.name} is left' for path in disk.iterdir()]

    return [
        ('train.py', train, half_written),
        ('test.py', test, half_written),
        ('report.py', report, half_written),
        ('study.py make', study, nothing),
    ]
