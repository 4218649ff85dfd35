"""Worker processes under one progress bar."""

import multiprocessing
import signal
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from tqdm import tqdm


class Job(NamedTuple):
    """What one worker does at a time: the files read and the files written."""

    sources: tuple[Path, ...]
    outputs: tuple[Path, ...]


def convert(function: Callable, jobs: list[Job], workers: int, title: str) -> None:
    """Calls ``function`` on every job whose outputs are not all there yet."""
    todo = [job for job in jobs if not all(path.exists() for path in job.outputs)]
    for _ in parallel(function, todo, workers, title, done=len(jobs) - len(todo)):
        pass


def parallel(
    function: Callable, items: Iterable, workers: int, title: str, done: int = 0
) -> Iterator:
    """Results of ``function`` on each item, in any order; ``workers=0``: no processes.

    The first exception of a worker stops them all and is raised here.
    """
    items = list(items)
    with tqdm(total=done + len(items), initial=done, desc=title, unit='img') as bar:
        for result in _results(function, items, min(workers, len(items))):
            bar.update()
            yield result


def _results(function, items, workers):
    if workers == 0:
        yield from map(function, items)
        return
    with multiprocessing.Pool(workers, initializer=_leave_ctrl_c) as pool:
        yield from pool.imap_unordered(function, items, chunksize=4)


def _leave_ctrl_c():
    # The parent alone handles Ctrl-C, or each worker would print a traceback
    signal.signal(signal.SIGINT, signal.SIG_IGN)
