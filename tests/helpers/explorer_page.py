"""The explorer as a process without an outside, and somebody in front of its page."""

import base64
import contextlib
import json
import os
import socket
import subprocess
import sys
import time

from helpers import ROOT

# Runs a tool in a process that reaches this machine alone, and says what it tried.
GUARD = """
import runpy, socket, sys
OWN = ('127.0.0.1', '::1', 'localhost', '0.0.0.0', '', None)
def guard(name, where):
    real = getattr(socket.socket, name)
    def own(self, *args):
        address = args[where]
        if self.family in (socket.AF_INET, socket.AF_INET6) and address[0] not in OWN:
            print('OUTSIDE', name, address, flush=True)
            raise OSError('there is no outside')
        return real(self, *args)
    setattr(socket.socket, name, own)
for name, where in (('connect', 0), ('connect_ex', 0), ('sendto', -1)):
    guard(name, where)
found = socket.getaddrinfo
def own(host, *args, **kwargs):
    if (host.decode() if isinstance(host, bytes) else host) not in OWN:
        print('OUTSIDE', host, flush=True)
        raise socket.gaierror('there is no outside')
    return found(host, *args, **kwargs)
socket.getaddrinfo = own
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name='__main__')
"""
# Of each picture in a part of the page: its content, as the browser has it.
CONTENTS = """
const done = arguments[1];
const images = [...document.querySelectorAll(arguments[0] + ' img')];
Promise.all(images.map(async (image) => {
  const bytes = new Uint8Array(await (await fetch(image.src)).arrayBuffer());
  return btoa(Array.from(bytes, (b) => String.fromCharCode(b)).join(''));
})).then(done, (error) => done('failed: ' + error));
"""


@contextlib.contextmanager
def explorer(folder, *args):
    """``tools/app.py``; its address."""
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = free.getsockname()[1]
    log = folder / 'app.log'
    command = [
        sys.executable,
        '-W',
        'ignore',
        '-c',
        GUARD,
        ROOT / 'tools/app.py',
        *args,
    ]
    with open(log, 'w') as file:
        process = subprocess.Popen(
            [*map(str, command), '--port', str(port), '--device', 'cpu'],
            cwd=folder,
            env={**os.environ, 'PYTHONPATH': str(ROOT), 'OMP_NUM_THREADS': '1'},
            stdout=file,
            stderr=subprocess.STDOUT,
        )
    try:
        end = time.monotonic() + 400
        while 'Explorer: ' not in (text := log.read_text()):
            assert process.poll() is None, text[-3000:]
            assert time.monotonic() < end, text[-3000:]
            time.sleep(0.1)
        yield f'http://127.0.0.1:{port}/'
    finally:
        process.terminate()
        process.wait(30)
    text = log.read_text()
    assert 'OUTSIDE' not in text
    assert 'Traceback' not in text, text[-3000:]


class Person:
    """Somebody in front of the page."""

    def __init__(self, browser, address):
        self.browser = browser
        browser.get('about:blank')
        browser.get_log('performance')  # what was before is not this page's
        browser.get(address)
        self.until(lambda: self.find('#draw'))

    def find(self, selector):
        found = self.browser.find_elements('css selector', selector)
        return found[0] if found else None

    def until(self, condition, seconds=60):
        end = time.monotonic() + seconds
        while not (value := condition()):
            assert time.monotonic() < end, self.text('body')
            time.sleep(0.05)
        return value

    def text(self, selector):
        element = self.find(selector)
        return element.text if element else ''

    def upload(self, path):
        field = self.until(lambda: self.find('#upload input[type=file]'))
        field.send_keys(str(path))

    def click(self, selector):
        self.browser.execute_script(
            'arguments[0].scrollIntoView({block: "center"}); arguments[0].click()',
            self.find(selector),
        )

    def type(self, selector, value):
        field = self.find(f'{selector} input')
        self.browser.execute_script('arguments[0].select()', field)
        field.send_keys(str(value), '\ue004')  # tab

    def slide(self, selector, value):
        self.browser.execute_script(
            'const [slider, value] = arguments; slider.value = value;'
            'for (const name of ["input", "change", "pointerup"])'
            '  slider.dispatchEvent(new Event(name, {bubbles: true}));',
            self.find(f'{selector} input[type=range]'),
            value,
        )

    def contents(self, selector):
        found = self.browser.execute_async_script(CONTENTS, selector)
        assert isinstance(found, list), found
        return [base64.b64decode(content) for content in found]

    def draw(self, seed=0, count=8):
        """Eight samples, as the page shows them."""
        self.type('#seed', seed)
        self.click('#draw')
        words = f'{count} samples, seed {seed},'
        self.until(lambda: self.text('#status').startswith(words))
        self.until(lambda: len(self.contents('#samples-0')) == count)
        return self.contents('#samples-0')

    def asked_for(self):
        """Addresses that the page asked for, the browser's own pages left out."""
        messages = [
            json.loads(entry['message'])['message']
            for entry in self.browser.get_log('performance')
        ]
        urls = [
            message['params']['request']['url']
            for message in messages
            if message['method'] == 'Network.requestWillBeSent'
        ]
        return [url for url in urls if not url.startswith(('chrome', 'about:'))]
