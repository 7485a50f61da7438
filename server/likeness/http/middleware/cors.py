"""Pages of other origins: those in `allowed_origins` may call the API with a bearer token, and with nothing else."""

from __future__ import annotations

from typing import Final

from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send

METHODS: Final = b"GET, HEAD, POST, PUT, DELETE"
REQUEST_HEADERS: Final = (
    b"Authorization, Content-Type, Idempotency-Key, If-None-Match, Last-Event-ID, X-Request-ID, Accept"
)
EXPOSED: Final = (
    b"Allow, Content-Disposition, Date, ETag, Location, RateLimit, RateLimit-Policy, Retry-After, WWW-Authenticate,"
    b" X-Request-ID"
)
# How long a browser keeps the answer of a preflight: Chromium keeps none for longer.
PREFLIGHT_S: Final = b"7200"


class Cors:
    """Outside the router, so that refusals of every kind are readable too. Never allows credentials: what a browser
    sends by itself, cookies and the local user's address, stays with pages of the server's own (`Authentication`).
    """

    def __init__(self, app: ASGIApp, origins: tuple[str, ...]) -> None:
        self._app = app
        self._origins = frozenset(origin.encode() for origin in origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != ScopeType.HTTP or not self._origins:
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        origin = headers.get(b"origin", b"")
        allowed = [(b"access-control-allow-origin", origin)] if origin in self._origins else []
        if allowed and scope["method"] == "OPTIONS" and b"access-control-request-method" in headers:
            await _answer_preflight(send, origin)
            return
        added = [*allowed, *([(b"access-control-expose-headers", EXPOSED)] if allowed else [])]

        async def readable(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *added, (b"vary", b"Origin")]
            await send(message)

        await self._app(scope, receive, readable)


async def _answer_preflight(send: Send, origin: bytes) -> None:
    headers = [
        (b"access-control-allow-origin", origin),
        (b"access-control-allow-methods", METHODS),
        (b"access-control-allow-headers", REQUEST_HEADERS),
        (b"access-control-max-age", PREFLIGHT_S),
        (b"vary", b"Origin"),
    ]
    await send({"type": "http.response.start", "status": 204, "headers": headers})
    await send({"type": "http.response.body", "body": b"", "more_body": False})
