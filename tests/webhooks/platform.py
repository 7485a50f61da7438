"""A platform that is told by webhooks, on loopback: it answers as it is told to, hangs, or is down."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

import msgspec

from likeness.webhooks import verify
from likeness.webhooks.signing import read_secret

SECRET = "whsec_dGhlIHNlY3JldCBvZiBhIHRlc3QsIHdoaWNoIGlzIG5vIHNlY3JldA=="


class Received(msgspec.Struct, frozen=True):
    """One request; header names in small letters."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    def generation(self) -> str:
        return str(msgspec.json.decode(self.body)["data"]["generation"])

    def check(self, now: float) -> None:
        """Raise SignatureError unless it was signed with SECRET at about `now`."""
        assert verify(read_secret(SECRET), self.headers, self.body, now) == self.id


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128  # the default of five is less than what senders connect at the same time


class Platform:
    """`answer` gives the status for a request, None to hang until the end."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.received: list[Received] = []
        self.answer: Callable[[Received], int | None] = lambda _: 204
        self.headers: dict[str, str] = {}
        self.endless = False  # go on after the head for as long as the sender listens
        self._tls = tls
        self._over = threading.Event()
        self.port = 0
        self.up()

    def up(self) -> None:
        """Listen, on the same port as before."""
        self._server = _Server(("127.0.0.1", self.port), self._handler())
        if self._tls is not None:
            self._server.socket = self._tls.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        self.port = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def down(self) -> None:
        """Refuse connections."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def url(self, host: str = "127.0.0.1") -> str:
        return f"{'https' if self._tls else 'http'}://{host}:{self.port}/hook?token=hidden"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self.down()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        platform = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                names = {name.lower(): value for name, value in self.headers.items()}
                received = Received(self.path, names, body)
                status = platform.answer(received)
                platform.received.append(received)
                if status is None:
                    platform._over.wait()
                    return
                self.send_response(status)
                for name, value in platform.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                while platform.endless:
                    try:
                        self.wfile.write(bytes(65536))
                    except OSError:
                        return

            def log_message(self, *_: Any) -> None:
                pass

        return Handler
