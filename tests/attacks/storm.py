"""A study whose server is killed again and again while all participants answer."""

import contextlib
import http.client
import random
import socket
import sqlite3
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from helpers.study_people import Client, kill, paint, serve, stored, truth_in

from mmagic_mr.study.make import make_study


@dataclass
class Storm:
    """What was said, and what the study holds in the end."""

    participants: int
    kills: int
    trials: int
    acknowledged: int
    lost: int
    changed: int
    doubled: int
    strange: int

    @property
    def failures(self) -> list[str]:
        wrong = ('lost', 'changed', 'doubled', 'strange')
        return [f'{n} answers {w}' for w in wrong if (n := getattr(self, w))]


class Participant:
    """Answers all trials, as the page does: asks again until the server is back."""

    def __init__(self, link: str, seed: int, deadline: float):
        self.client, self.rng = Client(link), random.Random(seed)
        self.deadline = deadline
        self.sent: dict[str, str] = {}
        self.acknowledged: dict[str, str] = {}
        self.twice = 0

    def ask(self, method, *args):
        while time.monotonic() < self.deadline:
            with contextlib.suppress(OSError, http.client.HTTPException):
                return method(*args)
            time.sleep(0.05)
        raise TimeoutError('the study did not come back')

    def run(self) -> None:
        state = self.ask(self.client.consent)
        while state['trial']:
            trial = state['trial']['id']
            status, content = self.ask(self.client.get, f'/image/{trial}')
            if status == 200:
                # Chosen once, also if the reply to the first time is lost
                choice = self.rng.choice([truth_in(content), 'real', 'fake'])
                answer = self.sent.setdefault(trial, choice)
                status, reply = self.ask(self.client.answer, trial, answer)
                if status == 200:
                    self.twice += trial in self.acknowledged
                    self.acknowledged[trial] = answer
                    state = reply['state']
                    continue
            if status != 409:  # the reply was lost: it is stored already
                raise RuntimeError(f'status {status}')
            status, state = self.ask(self.client.get)


def attack(folder: Path, participants=64, kills=12, per_method=10, seed=0) -> Storm:
    """All answer at once, and the server is killed after random numbers of answers.

    Args:
        folder: for pictures and the study.
        participants: threads that answer.
        kills: SIGKILLs of the server.
        per_method: fakes that each of them sees, and as many real images.
        seed: of the answers and of the moments of the kills.
    """
    rng = random.Random(seed)
    folder.mkdir(parents=True, exist_ok=True)
    real = paint(folder / 'real', 'real', per_method + 1)
    fake = paint(folder / 'fake', 'fake', per_method + 1)
    study = folder / 'study'
    make_study(
        study,
        real,
        {'x': fake},
        per_method=per_method,
        practice=2,
        participants=participants,
    )
    trials = participants * (2 * per_method + 2)
    moments = sorted(rng.sample(range(1, trials * 9 // 10), kills))
    port, people, threads = _free_port(), [], []
    deadline = time.monotonic() + 600
    for moment in [*moments, None]:
        with serve(study, port) as (server, links):
            if not people:
                people = [
                    Participant(link, i, deadline) for i, link in enumerate(links)
                ]
                threads = [threading.Thread(target=p.run, daemon=True) for p in people]
                for thread in threads:
                    thread.start()
            if moment is None:
                for thread in threads:
                    thread.join(max(0.0, deadline - time.monotonic()))
            else:
                while sum(len(p.acknowledged) for p in people) < moment:
                    time.sleep(0.001)
                kill(server)
    return _judge(study, people, kills, trials)


def _judge(study, people, kills, trials):
    kept = stored(study)
    sent = {trial: answer for p in people for trial, answer in p.sent.items()}
    known = {t: answer for p in people for t, answer in p.acknowledged.items()}
    with contextlib.closing(sqlite3.connect(study / 'study.sqlite')) as db:
        (rows,) = db.execute('SELECT COUNT(*) FROM answers').fetchone()
    return Storm(
        participants=len(people),
        kills=kills,
        trials=trials,
        acknowledged=len(known),
        lost=sum(trial not in kept for trial in known) + trials - rows,
        changed=sum(
            kept.get(trial, answer) != answer for trial, answer in sent.items()
        ),
        doubled=rows - len(kept) + sum(p.twice for p in people),
        strange=sum(trial not in sent for trial in kept),
    )


def _free_port() -> int:
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]
