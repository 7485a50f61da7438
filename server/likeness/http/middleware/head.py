"""HEAD wherever GET is: the same headers, and no body."""

from __future__ import annotations

from litestar.enums import ScopeType
from litestar.types import ASGIApp, HTTPDisconnectEvent, Message, Receive, ReceiveMessage, Scope, Send


class Head:
    """Runs HEAD as GET and sends the headers alone; names HEAD in `Allow` wherever GET is.

    Changes the scope's method in place: the caller gives a scope of its own.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != ScopeType.HTTP:
            await self._app(scope, receive, send)
        elif scope["method"] == "HEAD":
            scope["method"] = "GET"
            await self._headers_alone(scope, receive, send)
        else:
            await self._app(scope, receive, _allowing_head(send))

    async def _headers_alone(self, scope: Scope, receive: Receive, send: Send) -> None:
        sent = False

        async def start(message: Message) -> None:
            nonlocal sent
            if message["type"] == "http.response.start":
                await _allowing_head(send)(message)
                await send({"type": "http.response.body", "body": b"", "more_body": False})
                sent = True

        async def until_sent() -> ReceiveMessage:  # a stream of events ends when its client is gone
            return HTTPDisconnectEvent(type="http.disconnect") if sent else await receive()

        await self._app(scope, until_sent, start)


def _allowing_head(send: Send) -> Send:
    async def sender(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [_allow(*header) for header in message["headers"]]
        await send(message)

    return sender


def _allow(name: bytes, value: bytes) -> tuple[bytes, bytes]:
    if name.lower() != b"allow":
        return name, value
    methods = {method.strip() for method in value.decode("latin-1").split(",")}
    return name, ", ".join(sorted(methods | ({"HEAD"} if "GET" in methods else set()))).encode()
