"""How a module of this folder declares its commands, and what their arguments share."""

import argparse
import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple


class Command(NamedTuple):
    """One command of ``tools/prepare_data.py``.

    Attributes:
        name: what the user types.
        help: one line.
        add_arguments: adds its arguments to a parser.
        run: called with these arguments by name.
    """

    name: str
    help: str
    add_arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[..., None]


def add_dataset_arguments(
    parser: argparse.ArgumentParser, source: str, size: int
) -> None:
    """The arguments of every data set: src, dst, size, limit, workers.

    Args:
        parser: of the command.
        source: what SRC is, for the help.
        size: default of ``--size``, in pixels.
    """
    parser.add_argument('src', metavar='SRC', type=Path, help=source)
    parser.add_argument('dst', metavar='DST', type=Path, help='output folder')
    parser.add_argument('--size', type=positive, default=size, help='in pixels')
    parser.add_argument(
        '--limit', type=positive, metavar='N', help='first N of each split, to try'
    )
    add_workers(parser)


def add_workers(parser: argparse.ArgumentParser) -> None:
    """The number of processes: ``--workers``."""
    parser.add_argument(
        '--workers',
        type=count,
        default=min(8, os.cpu_count() or 1),
        help='processes; 0: none',
    )


def count(text: str) -> int:
    """An integer from 0, for argparse."""
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f'{value} is negative')
    return value


def positive(text: str) -> int:
    """An integer from 1, for argparse."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f'{value} is not at least 1')
    return value


def part_of_one(text: str) -> float:
    """A number between 0 and 1, for argparse."""
    value = float(text)
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f'{value} is not between 0 and 1')
    return value
