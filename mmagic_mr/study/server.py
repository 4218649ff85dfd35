"""The study's web server: one page, four calls, and images without names."""

import json
import sqlite3
import sys
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from mmagic_mr.study.store import Refused, Store

PAGE = Path(__file__).with_name('page')
STATIC = {
    '/page.js': ('page.js', 'text/javascript; charset=utf-8'),
    '/page.css': ('page.css', 'text/css; charset=utf-8'),
}
# no-store: nothing of an image may be left in a cache once its time is over
HEADERS = {
    'Cache-Control': 'no-store',
    'Content-Security-Policy': "default-src 'none'; script-src 'self'; "
    "style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'",
    'Referrer-Policy': 'no-referrer',  # the address holds the token
    'X-Content-Type-Options': 'nosniff',
}
MAX_BODY = 4096
DAY_MS = 24 * 3600 * 1000


class StudyServer(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, store: Store, host: str = '127.0.0.1', port: int = 0) -> None:
        self.store = store
        super().__init__((host, port), Handler)

    def handle_error(self, request, client_address) -> None:
        if not isinstance(sys.exc_info()[1], (ConnectionError, TimeoutError)):
            super().handle_error(request, client_address)  # not just a closed tab


class Handler(BaseHTTPRequestHandler):
    """GET  /s/TOKEN                  the page
    GET  /api/TOKEN                where the participant stands
    POST /api/TOKEN/consent
    GET  /api/TOKEN/image/TRIAL    the current trial's image
    POST /api/TOKEN/answer/TRIAL
    """

    protocol_version = 'HTTP/1.1'
    timeout = 60
    server: StudyServer

    def do_GET(self) -> None:
        self._respond(self._get)

    def do_POST(self) -> None:
        self._respond(self._post)

    def _get(self):
        store = self.server.store
        if self.path in STATIC:
            name, kind = STATIC[self.path]
            return (PAGE / name).read_bytes(), kind
        match self.path.split('/'):
            case ['', 's', token]:
                store.state(token)  # refuses an unknown token
                return (PAGE / 'index.html').read_bytes(), 'text/html; charset=utf-8'
            case ['', 'api', token]:
                return _json(store.state(token))
            case ['', 'api', token, 'image', trial]:
                return store.image(token, trial), 'image/png'
        raise Refused(HTTPStatus.NOT_FOUND, 'nothing here; open your personal link')

    def _post(self):
        body = self._body()
        match self.path.split('/'):
            case ['', 'api', token, 'consent']:
                return _json(self.server.store.agree(token))
            case ['', 'api', token, 'answer', trial]:
                answer = check_answer(body)
                return _json(self.server.store.answer(token, trial, answer))
        raise Refused(HTTPStatus.NOT_FOUND, 'nothing here')

    def _body(self):
        length = self.headers.get('Content-Length', '')
        if not length.isdecimal():
            self.close_connection = True
            raise Refused(HTTPStatus.LENGTH_REQUIRED, 'a Content-Length is needed')
        # Python refuses to read a number of thousands of digits
        if len(length) > len(str(MAX_BODY)) or int(length) > MAX_BODY:
            self.close_connection = True  # the body is left unread
            raise Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, 'the body is too long')
        content = self.rfile.read(int(length))
        # A form on another site can send other types without asking, but not this.
        if self.headers.get_content_type() != 'application/json':
            raise Refused(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, 'send application/json')
        try:
            return json.loads(content)
        except (ValueError, RecursionError):
            raise Refused(HTTPStatus.BAD_REQUEST, 'the body is not JSON') from None

    def _respond(self, handle) -> None:
        try:
            content, kind = handle()
            status = HTTPStatus.OK
        except Refused as refusal:
            content, kind = _json({'error': str(refusal)})
            status = refusal.status
        except (sqlite3.Error, OSError) as error:
            # A full disk, above all. The page asks again, until there is room.
            if isinstance(error, ConnectionError | TimeoutError):
                raise
            print(f'error: {error}', file=sys.stderr, flush=True)
            content, kind = _json({'error': 'the study cannot store anything now'})
            status = HTTPStatus.SERVICE_UNAVAILABLE
        self.send_response(status)
        for name, value in HEADERS.items():
            self.send_header(name, value)
        self.send_header('Content-Type', kind)
        self.send_header('Content-Length', str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def version_string(self) -> str:
        return 'study'

    def log_message(self, *args) -> None:
        """Silent: addresses are personal data, and paths hold tokens."""


def check_answer(body) -> dict:
    """The body of an answer, if it has exactly what the page sends, in range."""
    limits = dict(
        rt_ms=DAY_MS, shown_ms=DAY_MS, frame_ms=DAY_MS, frames=10**8, dropped=10**8
    )
    if not isinstance(body, dict) or set(body) != {'answer', *limits}:
        raise Refused(
            HTTPStatus.BAD_REQUEST, 'an answer has: answer, ' + ', '.join(limits)
        )
    if body['answer'] not in ('real', 'fake'):
        raise Refused(HTTPStatus.BAD_REQUEST, "answer must be 'real' or 'fake'")
    for name, high in limits.items():
        value = body[name]
        allowed = int if name in ('frames', 'dropped') else (int, float)
        if (
            isinstance(value, bool)
            or not isinstance(value, allowed)
            or not 0 <= value <= high  # false for NaN, too
        ):
            raise Refused(HTTPStatus.BAD_REQUEST, f'{name} must be from 0 to {high}')
    return body


def _json(value: dict) -> tuple[bytes, str]:
    return json.dumps(value).encode(), 'application/json'
