"""Results to judge, a server to ask, and participants who need no browser."""

import contextlib
import http.client
import io
import json
import os
import random
import re
import signal
import sqlite3
import subprocess
import sys
from urllib.parse import urlsplit

import numpy as np
from PIL import Image

from helpers import ROOT
from mmagic_mr.study.store import Store

TIMING = dict(rt_ms=400.0, shown_ms=100.0, frame_ms=16.7, frames=6, dropped=0)
COLORS = {'real': (20, 200, 20), 'fake': (200, 20, 20)}  # how scripts know the truth


def paint(folder, truth, count, size=(48, 32), suffix='.png'):
    folder.mkdir()
    rng = np.random.default_rng(count)
    for i in range(count):
        noise = rng.integers(-15, 16, (size[1], size[0], 3))
        pixels = (np.array(COLORS[truth]) + noise).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f'{truth}_{i}{suffix}')
    return folder


def cli(*args):
    return [sys.executable, str(ROOT / 'tools' / 'study.py'), *map(str, args)]


def environment():
    return {**os.environ, 'PYTHONPATH': str(ROOT)}


@contextlib.contextmanager
def serve(folder, port=0):
    """The real server process; yields it and the participants' links."""
    server = subprocess.Popen(
        cli('serve', folder, '--port', port),
        stdout=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    try:
        links = []
        for line in server.stdout:
            if 'Ctrl-C' in line:
                break
            links.append(re.search(r'http://\S+', line).group())
        yield server, links
    finally:
        server.kill()
        server.wait()
        server.stdout.close()


def kill(server):
    os.kill(server.pid, signal.SIGKILL)
    server.wait()


class Client:
    """A participant without a browser."""

    def __init__(self, link):
        address = urlsplit(link)
        self.host, self.port = address.hostname, address.port
        self.token = address.path.split('/')[2]

    def send(self, method, path, body=None, kind='application/json'):
        connection = http.client.HTTPConnection(self.host, self.port, timeout=20)
        with contextlib.closing(connection):
            content = body if isinstance(body, bytes) else json.dumps(body).encode()
            connection.putrequest(method, path, skip_accept_encoding=True)
            if method == 'POST':
                connection.putheader('Content-Type', kind)
                connection.putheader('Content-Length', str(len(content)))
            connection.endheaders(content if method == 'POST' else None)
            response = connection.getresponse()
            self.headers = dict(response.getheaders())
            content = response.read()
        if response.headers.get_content_type() == 'application/json':
            content = json.loads(content)
        return response.status, content

    def get(self, path=''):
        return self.send('GET', f'/api/{self.token}{path}')

    def post(self, path, body):
        return self.send('POST', f'/api/{self.token}{path}', body)

    def consent(self):
        status, state = self.post('/consent', {})
        assert status == 200
        return state

    def answer(self, trial, answer):
        """As the page does: the picture first, or no answer is taken."""
        self.get(f'/image/{trial}')
        return self.post(f'/answer/{trial}', dict(answer=answer, **TIMING))

    def take(self, decide, limit=None):
        """Answer up to `limit` trials; returns {trial id: (truth seen, answer)}."""
        state, log = self.consent(), {}
        while state['trial'] and len(log) != limit:
            trial = state['trial']['id']
            status, content = self.get(f'/image/{trial}')
            assert status == 200
            truth = truth_in(content)
            log[trial] = (truth, decide(truth))
            status, reply = self.answer(trial, log[trial][1])
            assert status == 200
            state = reply['state']
        return log


def truth_in(png):
    red, green, _ = np.asarray(Image.open(io.BytesIO(png))).reshape(-1, 3).mean(0)
    return 'real' if green > red else 'fake'


def perfect(truth):
    return truth


def always_real(truth):
    return 'real'


def coin(seed):
    rng = random.Random(seed)
    return lambda truth: rng.choice(['real', 'fake'])


def stored(folder):
    with contextlib.closing(sqlite3.connect(folder / 'study.sqlite')) as db:
        assert db.execute('PRAGMA integrity_check').fetchone() == ('ok',)
        return dict(db.execute('SELECT trial, answer FROM answers'))


def trials_of(folder):
    with Store(folder).transaction() as db:
        return db.execute(
            'SELECT t.*, i.source, i.file FROM trials t JOIN images i ON i.id = image '
            'ORDER BY participant, position'
        ).fetchall()
