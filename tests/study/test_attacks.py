"""A study whose files, disk or participants are not as they should be."""

import contextlib
import http.client
import sqlite3
import subprocess
import threading

import pytest
from helpers.study_people import (
    TIMING,
    Client,
    cli,
    environment,
    paint,
    stored,
    trials_of,
)

from mmagic_mr.errors import UserError
from mmagic_mr.study.make import make_study
from mmagic_mr.study.server import StudyServer
from mmagic_mr.study.store import Store


@pytest.fixture
def folder(tmp_path):
    real = paint(tmp_path / 'real', 'real', 6)
    fake = paint(tmp_path / 'fake', 'fake', 6)
    make_study(tmp_path / 'study', real, {'x': fake}, 3, practice=2, participants=1)
    return tmp_path / 'study'


@pytest.fixture
def served(folder):
    """The store, and a participant who agreed."""
    with contextlib.closing(Store(folder)) as store, StudyServer(store) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        (person,) = store.progress()
        address = f'http://127.0.0.1:{server.server_address[1]}'
        client = Client(f'{address}/s/{person["token"]}')
        client.consent()
        yield store, client
        server.shutdown()
        thread.join()


def test_a_length_of_5000_digits_is_refused(served):
    _, client = served
    connection = http.client.HTTPConnection(client.host, client.port, timeout=5)
    with contextlib.closing(connection):
        connection.putrequest('POST', f'/api/{client.token}/consent')
        connection.putheader('Content-Length', '9' * 5000)
        connection.endheaders()
        assert connection.getresponse().status == 413


def test_a_full_disk_is_told_as_503_and_nothing_is_stored(served, folder):
    store, client = served
    trial = client.get()[1]['trial']['id']
    client.get(f'/image/{trial}')
    with store.transaction() as db:
        (pages,) = db.execute('PRAGMA page_count').fetchone()
    store._db.execute(f'PRAGMA max_page_count={pages}')
    large = "INSERT INTO settings VALUES ('x', zeroblob(100000))"
    store._db.execute(
        f'CREATE TEMP TRIGGER full BEFORE INSERT ON answers BEGIN {large}; END'
    )
    status, reply = client.post(f'/answer/{trial}', dict(answer='real', **TIMING))
    assert (status, set(reply)) == (503, {'error'})
    assert stored(folder) == {}
    store._db.execute('DROP TRIGGER full')
    assert client.answer(trial, 'real')[0] == 200  # when there is room again


def test_a_view_of_a_picture_that_is_gone_is_not_counted(served, folder):
    _, client = served
    trial = trials_of(folder)[0]
    (folder / 'images' / trial['file']).unlink()
    status, reply = client.get(f'/image/{trial["id"]}')
    assert (status, set(reply)) == (410, {'error'})
    assert trials_of(folder)[0]['views'] == 0


def test_an_answer_without_the_picture_is_refused(served, folder):
    _, client = served
    trial = client.get()[1]['trial']['id']
    body = dict(answer='real', **TIMING)
    status, reply = client.post(f'/answer/{trial}', body)
    assert (status, set(reply)) == (409, {'error'})
    assert stored(folder) == {}
    client.get(f'/image/{trial}')
    assert client.post(f'/answer/{trial}', body)[0] == 200


def break_text(path):
    path.write_text('no database, but long enough' * 99)


def break_half(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def break_middle(path):
    data = bytearray(path.read_bytes())
    for start in range(4096, len(data), 4096):
        data[start : start + 200] = b'\xff' * 200
    path.write_bytes(data)


def break_foreign(path):
    path.unlink()
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute('CREATE TABLE settings (name, value)')
        db.commit()


def break_settings(path):
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("UPDATE settings SET value = '{' WHERE name = 'size'")
        db.commit()


def break_empty(path):
    path.write_bytes(b'')


def break_missing(path):
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("DELETE FROM settings WHERE name = 'methods'")
        db.commit()


BREAKS = [
    break_text,
    break_half,
    break_middle,
    break_foreign,
    break_settings,
    break_empty,
    break_missing,
]


@pytest.mark.parametrize('broken', BREAKS, ids=lambda f: f.__name__)
def test_a_database_that_is_none_is_named(folder, broken):
    broken(folder / 'study.sqlite')
    with pytest.raises(UserError, match=r'study\.sqlite is no .*study'):
        Store(folder)


@pytest.mark.parametrize('command', ['serve', 'score'])
def test_a_read_only_study_is_one_line(folder, command):
    """SQLite refuses to write into a file under this name, whoever asks."""
    for suffix in '-wal', '-shm':
        (folder / f'study.sqlite{suffix}').unlink(missing_ok=True)
        (folder / f'study.sqlite{suffix}').mkdir()
    done = subprocess.run(
        cli(command, folder, *['--port', '0'] * (command == 'serve')),
        env=environment(),
        stderr=subprocess.PIPE,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 1
    assert done.stderr.startswith('error: ')
    assert str(folder) in done.stderr
    assert done.stderr.count('\n') == 1
