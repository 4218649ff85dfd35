"""Keeps a Gradio page to this machine: its server, and the browser that shows it.

Gradio asks for its newest version, sends statistics, and its page asks for a script and
fonts from elsewhere. All of that is switched off here; beyond that, the page comes with
a policy by which the browser refuses any address but the page's own.
"""

import os
import re
from collections.abc import Awaitable, Callable
from typing import Any

POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
    "font-src 'self' data:; connect-src 'self' data: blob:; "
    "worker-src 'self' blob:; object-src 'none'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'"
)
# What the page would load from elsewhere, links for fonts and a script; and what Gradio
# serves to installed apps alone.
ELSEWHERE = re.compile(
    rb'<link[^>]*href="https?://[^>]*>|<script[^>]*src="https?://[^>]*>\s*</script>'
    rb'|<link[^>]*rel="manifest"[^>]*>'
)
LOCAL = ('127.0.0.1', 'localhost', '[::1]')

Message = dict[str, Any]


def silence() -> None:
    """Switch off what Gradio would send, which begins when it is imported."""
    os.environ.update(
        GRADIO_ANALYTICS_ENABLED='False',
        HF_HUB_DISABLE_TELEMETRY='1',
    )


class OwnAddressesOnly:
    """ASGI middleware: the policy, and a page without addresses of others.

    Args:
        app: What it is around.
        hosts: Names by which the page may be asked for, so that no other site's name
            can be made to mean this machine.
    """

    def __init__(self, app: Callable[..., Awaitable], hosts: tuple[str, ...] = LOCAL):
        self.app, self.hosts = app, hosts

    async def __call__(self, scope, receive, send) -> None:
        if scope['type'] != 'http':
            await self.app(scope, receive, send)
            return
        if not self._is_own(dict(scope['headers']).get(b'host', b'').decode('latin-1')):
            await send({'type': 'http.response.start', 'status': 400, 'headers': []})
            await send({'type': 'http.response.body', 'body': b'unknown host'})
            return
        await self.app(scope, receive, _Cleaned(send).send)

    def _is_own(self, host: str) -> bool:
        return '*' in self.hosts or re.sub(r':\d+$', '', host) in self.hosts


class _Cleaned:
    """One answer on its way: a header more; a page is held back until it is whole."""

    def __init__(self, send):
        self._send = send
        self._start: Message | None = None
        self._body = b''

    async def send(self, message: Message) -> None:
        if message['type'] == 'http.response.start':
            headers = [
                *message.get('headers', []),
                (b'content-security-policy', POLICY.encode()),
                (b'referrer-policy', b'no-referrer'),
            ]
            message = {**message, 'headers': headers}
            kind = dict(headers).get(b'content-type', b'')
            if kind.startswith(b'text/html'):
                self._start = message
            else:
                await self._send(message)
        elif self._start is not None and message['type'] == 'http.response.body':
            self._body += message.get('body', b'')
            if not message.get('more_body'):
                await self._finish()
        else:
            await self._send(message)

    async def _finish(self) -> None:
        assert self._start is not None
        body = ELSEWHERE.sub(b'', self._body)
        headers = [h for h in self._start['headers'] if h[0] != b'content-length']
        headers.append((b'content-length', str(len(body)).encode()))
        await self._send({**self._start, 'headers': headers})
        await self._send({'type': 'http.response.body', 'body': body})
