"""All attacks, one after the other, as rows of one table."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from attacks import disk, kill_loop, storm, training

FRACTIONS = (0.02, 0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.95)


class Row(NamedTuple):
    """One attack.

    Attributes:
        attack: what was done to what.
        attempts: how often.
        result: in words.
        failures: one sentence each; empty: it held.
        seconds: how long it took.
    """

    attack: str
    attempts: int
    result: str
    failures: list[str]
    seconds: float


def run_all(folder: Path, kills: int, seed: int, hosts, say=print) -> Iterator[Row]:
    """The kill loop of each host, the storm on a study, the full disks.

    Args:
        folder: for everything; it is not emptied.
        kills: SIGKILLs of each host's trainings.
        seed: of all that is random.
        hosts: some of `training.HOSTS`.
        say: is told of each attempt.
    """
    training.warm_up()
    for host in hosts:
        begin = time.monotonic()
        tally = kill_loop.attack(host, folder / host, kills, seed, say)
        at = ', '.join(f'{n} at {where}' for where, n in sorted(tally.kills.items()))
        result = f'{tally.identical} of {tally.runs} runs end bit-identical; {at}'
        yield _row(f'SIGKILL, {host}', tally.killed, result, tally.failures, begin)
    begin = time.monotonic()
    found = storm.attack(folder / 'study', seed=seed)
    result = f'{found.acknowledged} of {found.trials} answers acknowledged'
    title = f'SIGKILL, study of {found.participants} participants'
    yield _row(title, found.kills, result, found.failures, begin)
    for name, run, rest in disk.tools(folder / 'tools'):
        begin = time.monotonic()
        outcome = disk.attack(name, run, folder / 'disks', FRACTIONS, rest, say)
        result = 'nothing half-written, one line each'
        yield _row(f'full disk, {name}', outcome.full, result, outcome.failures, begin)


def _row(attack, attempts, result, failures, begin):
    return Row(attack, attempts, result, failures, time.monotonic() - begin)


def markdown(rows: list[Row]) -> str:
    """The table, and every failure below it."""
    lines = [
        '| attack | attempts | failures | result | seconds |',
        '| --- | ---: | ---: | --- | ---: |',
    ]
    for row in rows:
        lines.append(
            f'| {row.attack} | {row.attempts} | {len(row.failures)} | {row.result} | '
            f'{row.seconds:.0f} |'
        )
    failures = [f'- {row.attack}: {text}' for row in rows for text in row.failures]
    return '\n'.join(lines + ([''] if failures else []) + failures)
