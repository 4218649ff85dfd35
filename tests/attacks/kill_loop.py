"""Trainings that are killed again and again, and still end where others end."""

import random
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from attacks import training
from attacks.training import End, Plan

KINDS = ('time', 'event', 'event', 'bytes', 'bytes')  # each is as likely


@dataclass
class Tally:
    """What came of the kills of one host."""

    host: str
    kills: dict[str, int] = field(default_factory=dict)  # by what it was at
    runs: int = 0
    identical: int = 0
    failures: list[str] = field(default_factory=list)

    @property
    def killed(self) -> int:
        return sum(self.kills.values())


class Victim:
    """A training, and how it ends when nobody disturbs it.

    Args:
        host: one of `training.HOSTS`.
        folder: for its data, config and work dirs.
    """

    def __init__(self, host: str, folder: Path):
        self.folder = folder
        self.config = training.write_config(host, folder)
        self.whole = training.train(self.config, folder / 'whole', resume=False)
        if self.whole.status:
            raise RuntimeError(f'{host} does not train: {self.whole.output}')
        self.expected = training.final_state(folder / 'whole')
        last = folder / 'whole' / f'iter_{training.ITERATIONS}.pth'
        self.largest = last.stat().st_size

    def run(self, name: str, plans: Iterable[Plan]) -> tuple[list[End], list[str]]:
        """From the first start to the end, killed by each plan in turn.

        Returns:
            The kills, and what went wrong.
        """
        work_dir, kills, reached = self.folder / name, [], 0
        plans = iter(plans)
        while True:
            end = training.train(
                self.config, work_dir, next(plans, None), resume=bool(kills)
            )
            if not end.killed:
                break
            kills.append(end)
            # While a checkpoint is written, the one before it must be there.
            reached, newest = max(reached, end.reached), training.newest_whole(work_dir)
            if newest < reached - 1:
                left = newest or 'none'
                return kills, [f'checkpoint {reached - 1} was whole, {left} is left']
            reached = newest
        if end.status:
            return kills, [f'status {end.status}: {end.last_line}']
        wrong = training.differing(self.expected, training.final_state(work_dir))
        return kills, [f'{len(wrong)} tensors differ: {wrong[0]}'] if wrong else []


def stage(end: End) -> str:
    """What the process was at when it died, by the last file that it touched."""
    if 'predictor/' in end.event:
        return "predictor's files"
    if 'iter_' in end.event or 'last_checkpoint' in end.event:
        return 'checkpoint'
    return 'GAN' if end.reached else 'start or predictor'


def draw(rng: random.Random, victim: Victim) -> Plan:
    """A moment, a file event, or a number of bytes at which to die."""
    kind = rng.choice(KINDS)
    if kind == 'time':
        return Plan(kind, round(rng.uniform(0.2, victim.whole.seconds), 3))
    size = rng.randrange(20_000, victim.largest) if kind == 'bytes' else 0
    return Plan(kind, rng.randrange(1, victim.whole.events), size)


def attack(host: str, folder: Path, kills: int, seed: int = 0, say=print) -> Tally:
    """Kills trainings of a host until there were that many, and compares their ends.

    Each run is killed, resumed, killed again, ... until it ends by itself.

    Args:
        host: one of `training.HOSTS`.
        folder: for data, configs and work dirs.
        kills: how many SIGKILLs at least.
        seed: of the points at which they hit.
        say: is told of each run.
    """
    rng = random.Random(f'{host} {seed}')
    tally, victim = Tally(host), Victim(host, folder)
    while tally.killed < kills:
        drawn: list[Plan] = []

        def plans(drawn=drawn, left=kills - tally.killed) -> Iterator[Plan]:
            for _ in range(left):
                drawn.append(draw(rng, victim))
                yield drawn[-1]

        name = f'run{tally.runs}'
        ends, failures = victim.run(name, plans())
        for end in ends:
            tally.kills[stage(end)] = tally.kills.get(stage(end), 0) + 1
        story = '; '.join(
            f'{plan} @ {end.event}' for plan, end in zip(drawn, ends, strict=False)
        )
        tally.runs += 1
        tally.identical += not failures
        tally.failures += [f'{failure} (after {story})' for failure in failures]
        result = '; '.join(failures) or 'identical'
        say(f'{host} {tally.killed}/{kills}: {story or "no kill"}: {result}')
        shutil.rmtree(folder / name, ignore_errors=True)
    return tally
