"""Users who upload whatever happens to the servers, and the platform that is told of it."""

from __future__ import annotations

import itertools
import json
import queue
import secrets
import threading
import time
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final, Self

import httpx

from likeness.webhooks import read_secret, verify
from tests.fleet import Fleet, headers
from tests.patience import patience_s
from tests.serving import CONSENT

ACCEPTED_S: Final = 120.0


class Users:
    """Threads that upload one set of photos after the other, each as a new user; one who is not answered asks again."""

    def __init__(self, fleet: Fleet, photos: Sequence[bytes], count: int, threads: int = 6) -> None:
        self.accepted: dict[str, str] = {}  # tier by generation
        self.asked_again = 0
        self.failures: list[str] = []
        self._fleet = fleet
        self._files = [("photos", (f"{index}.jpg", photo, "image/jpeg")) for index, photo in enumerate(photos)]
        self._turns: queue.SimpleQueue[int] = queue.SimpleQueue()
        for number in range(count):
            self._turns.put(number)
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(threads)]

    def start(self) -> Self:
        """Begin."""
        for thread in self._threads:
            thread.start()
        return self

    @property
    def busy(self) -> bool:
        """Whether any is still uploading."""
        return any(thread.is_alive() for thread in self._threads)

    def _run(self) -> None:
        with httpx.Client(timeout=patience_s(30)) as client:
            while True:
                try:
                    number = self._turns.get_nowait()
                except queue.Empty:
                    return
                self._upload(client, number)

    def _upload(self, client: httpx.Client, number: int) -> None:
        tier = "plus" if number % 3 == 0 else "lite"
        given = headers(f"user-{number}-{secrets.token_hex(4)}", tier) | {"Idempotency-Key": secrets.token_hex(16)}
        nodes = itertools.cycle(self._fleet.nodes[number % len(self._fleet.nodes) :] + self._fleet.nodes)
        begun = time.monotonic()
        while time.monotonic() - begun < patience_s(ACCEPTED_S):
            try:
                url = next(nodes).client.base_url.join("/v1/generations")
                answer = client.post(url, files=self._files, data={"consent": CONSENT}, headers=given)
            except httpx.HTTPError:
                answer = None
            if answer is not None and answer.status_code == 202:
                self.accepted[answer.json()["id"]] = tier
                return
            if answer is not None and answer.status_code not in (409, 429, 503):
                self.failures.append(f"{answer.status_code} {answer.text[:200]}")
            self.asked_again += 1
            time.sleep(0.2)
        self.failures.append(f"upload {number} was never answered")


class Platform:
    """Receives webhooks while it is `up`, and knows which it has."""

    def __init__(self, secret: str) -> None:
        self.up = threading.Event()
        self.told: dict[str, tuple[str, str]] = {}  # kind and generation, by webhook-id
        self.bodies: dict[str, set[bytes]] = {}
        platform, key = self, read_secret(secret)

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if platform.up.is_set():
                    verify(key, {name.lower(): value for name, value in self.headers.items()}, body, time.time())
                    platform.note(self.headers["webhook-id"], body)
                self.send_response(204 if platform.up.is_set() else 503)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def start(self) -> Self:
        """Listen; down at first."""
        self._thread.start()
        return self

    @property
    def url(self) -> str:
        """Where to tell it."""
        return f"http://127.0.0.1:{self._server.server_port}/likeness"

    def note(self, name: str, body: bytes) -> None:
        """Keep what was told."""
        told = json.loads(body)
        self.told[name] = (told["type"], told["data"]["generation"])
        self.bodies.setdefault(name, set()).add(body)

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()
