"""Around everything: a request id, one log line and the metrics of each request, with no word about the user."""

from __future__ import annotations

import logging
import secrets
import time
from typing import Final

from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from likeness.http.metrics import Metrics
from likeness.logs import request_id

HEADER: Final = b"x-request-id"
logger = logging.getLogger("likeness.access")


class Observe:
    """Outermost, so that it sees refusals of every kind; a request id that the client sends is kept if it is sane."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != ScopeType.HTTP:
            await self._app(scope, receive, send)
            return
        mine, method = _request_id(scope), scope["method"]  # before HEAD is run as GET
        token = request_id.set(mine)
        started, status = time.perf_counter(), 0

        async def observed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], (HEADER, mine.encode())]
            await send(message)

        try:
            await self._app(scope, receive, observed)
        finally:
            self._note(scope, method, status, time.perf_counter() - started)
            request_id.reset(token)

    def _note(self, scope: Scope, method: str, status: int, seconds: float) -> None:
        # The template, such as /v1/generations/{generation}: ids are in no log and in no metric.
        route = str(scope.get("path_template") or "unknown")
        self._metrics.request(method, route, status, seconds)
        quiet = route in ("/health/live", "/health/ready", "/metrics")
        fields = {"method": method, "route": route, "status": status, "ms": round(seconds * 1000, 1)}
        logger.log(logging.DEBUG if quiet else logging.INFO, "request", extra={"fields": fields})


def _request_id(scope: Scope) -> str:
    given = dict(scope["headers"]).get(HEADER, b"").decode("latin-1")
    sane = 0 < len(given) <= 64 and all(letter.isalnum() or letter in "-_." for letter in given)
    return given if sane and given.isascii() else secrets.token_hex(8)
