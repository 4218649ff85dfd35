"""The study folder: one SQLite file, and the images under names that say nothing."""

import json
import sqlite3
import threading
from contextlib import closing, contextmanager
from http import HTTPStatus
from pathlib import Path

from mmagic_mr.errors import MissingFileError, UserError

SCHEMA = """
CREATE TABLE settings (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE participants (
    id INTEGER PRIMARY KEY,
    token TEXT NOT NULL UNIQUE,
    agreed_at TEXT);
CREATE TABLE images (
    id INTEGER PRIMARY KEY,
    file TEXT NOT NULL UNIQUE,      -- inside images/
    source TEXT NOT NULL);          -- the file it was made from
CREATE TABLE trials (
    id TEXT PRIMARY KEY,
    participant INTEGER NOT NULL REFERENCES participants,
    position INTEGER NOT NULL,
    practice INTEGER NOT NULL,
    method TEXT NOT NULL,           -- a real image belongs to the fakes it balances
    truth TEXT NOT NULL CHECK (truth IN ('real', 'fake')),
    image INTEGER NOT NULL REFERENCES images,
    views INTEGER NOT NULL DEFAULT 0,
    UNIQUE (participant, position));
CREATE TABLE answers (
    trial TEXT PRIMARY KEY REFERENCES trials,   -- so a second answer cannot be stored
    answer TEXT NOT NULL CHECK (answer IN ('real', 'fake')),
    rt_ms REAL NOT NULL,            -- from the image's first frame to the answer
    shown_ms REAL NOT NULL,         -- measured exposure
    frame_ms REAL NOT NULL,         -- measured length of one frame
    frames INTEGER NOT NULL,        -- frames that the image was on screen
    dropped INTEGER NOT NULL,       -- frames missed up to the one after the image
    answered_at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP);
"""


SETTINGS = {
    **dict.fromkeys(('title', 'consent', 'made_at'), str),
    **dict.fromkeys(('exposure', 'fixation'), (int, float)),
    **dict.fromkeys(('display', 'per_method'), int),
    **dict.fromkeys(('size', 'methods'), list),
}


class Refused(Exception):
    """A request that the study does not grant, with the HTTP status that says why."""

    def __init__(self, status: HTTPStatus, message: str) -> None:
        super().__init__(message)
        self.status = status


class Store:
    """All reads and writes of one study folder; safe to share between threads."""

    def __init__(self, folder: Path) -> None:
        self.database = Path(folder) / 'study.sqlite'
        self.images = Path(folder) / 'images'
        if not self.database.is_file():
            raise MissingFileError(
                f'{folder} holds no study (no study.sqlite); '
                'make one with `tools/study.py make`'
            )
        # One connection for all threads: opening one per request costs a checkpoint.
        self._db = sqlite3.connect(
            self.database, timeout=20, isolation_level=None, check_same_thread=False
        )
        self._db.row_factory = sqlite3.Row
        self._lock = threading.Lock()
        try:
            self.settings = self._open()
        except BaseException:
            self._db.close()
            raise

    def _open(self) -> dict:
        """The settings, of a database that is whole and of this tool."""
        try:
            self._db.execute('PRAGMA foreign_keys=ON')
            self._db.execute('PRAGMA synchronous=FULL')  # each commit is on disk
            with self.transaction() as db:
                (verdict,) = db.execute('PRAGMA quick_check(1)').fetchone()
                if verdict != 'ok':
                    raise sqlite3.DatabaseError(verdict)
                # Refuses a database without these tables and columns
                db.execute('SELECT token, agreed_at FROM participants LIMIT 0')
                db.execute('SELECT file, source FROM images LIMIT 0')
                db.execute('SELECT position, views, image FROM trials LIMIT 0')
                db.execute('SELECT trial, answer, dropped FROM answers LIMIT 0')
                rows = db.execute('SELECT name, value FROM settings').fetchall()
            settings = {row['name']: json.loads(row['value']) for row in rows}
        except sqlite3.OperationalError as error:
            if not str(error).startswith('no such'):
                raise  # locked, read-only, a full disk: nothing is wrong with the file
            raise self._is_none(error) from error
        except (sqlite3.DatabaseError, ValueError, TypeError) as error:
            raise self._is_none(error) from error
        for name, kind in SETTINGS.items():
            if not isinstance(settings.get(name), kind):
                raise self._is_none(f'no setting {name}')
        return settings

    def _is_none(self, reason) -> UserError:
        return UserError(
            f'{self.database} is no whole study of this tool '
            f'({" ".join(str(reason).split())}); take a copy of it, or make a new one'
        )

    @classmethod
    def create(cls, folder: Path, settings: dict) -> 'Store':
        """Make an empty study in a new folder."""
        folder = Path(folder)
        (folder / 'images').mkdir(parents=True)
        database = folder / 'study.sqlite'
        database.touch(mode=0o600)  # it holds the participants' tokens
        with closing(sqlite3.connect(database)) as db:
            db.execute('PRAGMA journal_mode=WAL')
            db.executescript(SCHEMA)
            db.executemany(
                'INSERT INTO settings VALUES (?, ?)',
                [(name, json.dumps(value)) for name, value in settings.items()],
            )
            db.commit()
        return cls(folder)

    @contextmanager
    def transaction(self):
        """One transaction, on disk before the block's end returns."""
        with self._lock:
            self._db.execute('BEGIN IMMEDIATE')
            try:
                yield self._db
                self._db.execute('COMMIT')
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute('ROLLBACK')
                raise

    def close(self) -> None:
        self._db.close()

    def state(self, token: str) -> dict:
        """What the page may know now: never a truth, a method or a file."""
        with self.transaction() as db:
            return self._state(db, _participant(db, token))

    def agree(self, token: str) -> dict:
        """Note the consent, once."""
        with self.transaction() as db:
            participant = _participant(db, token)
            db.execute(
                'UPDATE participants SET agreed_at = CURRENT_TIMESTAMP '
                'WHERE id = ? AND agreed_at IS NULL',
                (participant['id'],),
            )
            return self._state(db, _participant(db, token))

    def image(self, token: str, trial_id: str) -> bytes:
        """The image of the participant's current trial; the view is counted."""
        with self.transaction() as db:
            trial = _current(db, _participant(db, token), trial_id)
            (name,) = db.execute(
                'SELECT file FROM images WHERE id = ?', (trial['image'],)
            ).fetchone()
            path = (self.images / name).resolve()
            if path.parent != self.images.resolve():
                raise Refused(HTTPStatus.FORBIDDEN, 'image outside the image folder')
            if not path.is_file():
                raise Refused(HTTPStatus.GONE, 'this picture is lost')
            content = path.read_bytes()
            # What is not sent was not seen
            db.execute('UPDATE trials SET views = views + 1 WHERE id = ?', (trial_id,))
        return content

    def answer(self, token: str, trial_id: str, answer: dict) -> dict:
        """Store one answer for good; the reply tells the truth in practice only."""
        with self.transaction() as db:
            participant = _participant(db, token)
            trial = _current(db, participant, trial_id)
            if not trial['views']:
                raise Refused(HTTPStatus.CONFLICT, 'the picture has not been shown yet')
            db.execute(
                'INSERT INTO answers '
                '(trial, answer, rt_ms, shown_ms, frame_ms, frames, dropped) VALUES '
                '(:trial, :answer, :rt_ms, :shown_ms, :frame_ms, :frames, :dropped)',
                {'trial': trial_id, **answer},
            )
            reply = {'state': self._state(db, participant)}
            if trial['practice']:
                reply['truth'] = trial['truth']
            return reply

    def progress(self) -> list[sqlite3.Row]:
        """Per participant: id, token, agreed_at, trials (main and practice), done."""
        with self.transaction() as db:
            return db.execute(
                'SELECT p.id, p.token, p.agreed_at, COUNT(t.id) AS trials, '
                'COUNT(a.trial) AS done FROM participants p '
                'JOIN trials t ON t.participant = p.id '
                'LEFT JOIN answers a ON a.trial = t.id GROUP BY p.id ORDER BY p.id'
            ).fetchall()

    def scored_answers(self) -> list[sqlite3.Row]:
        """Every answered main trial, with the truth."""
        with self.transaction() as db:
            return db.execute(
                'SELECT t.participant, t.method, t.truth, t.views, a.* '
                'FROM answers a JOIN trials t ON t.id = a.trial '
                'WHERE NOT t.practice ORDER BY t.participant, t.position'
            ).fetchall()

    def _state(self, db: sqlite3.Connection, participant: sqlite3.Row) -> dict:
        counts = {
            row['practice']: (row['trials'], row['done'])
            for row in db.execute(
                'SELECT practice, COUNT(*) AS trials, COUNT(a.trial) AS done '
                'FROM trials t LEFT JOIN answers a ON a.trial = t.id '
                'WHERE participant = ? GROUP BY practice',
                (participant['id'],),
            )
        }
        trial = _next_trial(db, participant)
        state = {
            name: self.settings[name]
            for name in ('title', 'consent', 'exposure', 'fixation', 'size', 'display')
        }
        state['agreed'] = participant['agreed_at'] is not None
        state['practice'] = counts.get(1, (0, 0))[0]
        state['trials'] = counts.get(0, (0, 0))[0]
        state['trial'] = trial and {
            'id': trial['id'],
            'practice': bool(trial['practice']),
            'done': counts[trial['practice']][1],
        }
        return state


def _participant(db: sqlite3.Connection, token: str) -> sqlite3.Row:
    row = db.execute('SELECT * FROM participants WHERE token = ?', (token,)).fetchone()
    if row is None:
        raise Refused(HTTPStatus.FORBIDDEN, 'this link is not valid')
    return row


def _next_trial(db: sqlite3.Connection, participant: sqlite3.Row):
    return db.execute(
        'SELECT t.* FROM trials t LEFT JOIN answers a ON a.trial = t.id '
        'WHERE participant = ? AND a.trial IS NULL ORDER BY position LIMIT 1',
        (participant['id'],),
    ).fetchone()


def _current(db: sqlite3.Connection, participant: sqlite3.Row, trial_id: str):
    """The trial, if it is this participant's, unanswered, and the next one."""
    trial = db.execute('SELECT * FROM trials WHERE id = ?', (trial_id,)).fetchone()
    if trial is None:
        raise Refused(HTTPStatus.NOT_FOUND, 'no such trial')
    if trial['participant'] != participant['id']:
        raise Refused(HTTPStatus.FORBIDDEN, "this is another participant's trial")
    if participant['agreed_at'] is None:
        raise Refused(HTTPStatus.FORBIDDEN, 'the consent comes first')
    if db.execute('SELECT 1 FROM answers WHERE trial = ?', (trial_id,)).fetchone():
        raise Refused(HTTPStatus.CONFLICT, 'this trial is answered already')
    if trial_id != _next_trial(db, participant)['id']:
        raise Refused(HTTPStatus.CONFLICT, 'this trial is not the current one')
    return trial
