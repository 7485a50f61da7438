"""HTTP connections whose requests' heads have to come in time: a client that drips headers would hold one for ever."""

from __future__ import annotations

import asyncio

import msgspec
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from likeness.http.problems import Problem

_SAID = Problem(
    "urn:likeness:problem:request_timeout",
    "Request Timeout",
    408,
    "The headers of the request did not come in time. Check the connection and send the request again.",
    "request_timeout",
)


def timed_protocol(most_s: float) -> type[asyncio.Protocol]:
    """uvicorn's protocol, with a limit from the connection, or a later request's first byte, to the head's end."""

    class TimedProtocol(HttpToolsProtocol):
        _head: asyncio.TimerHandle | None = None
        _begun = False

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn's own
            super().connection_made(transport)
            self._head = self.loop.call_later(most_s, self._give_up)

        def connection_lost(self, exc: Exception | None) -> None:
            self._stop()
            super().connection_lost(exc)

        def on_message_begin(self) -> None:
            self._begun = True
            if self._head is None:
                self._head = self.loop.call_later(most_s, self._give_up)
            super().on_message_begin()

        def on_headers_complete(self) -> None:
            self._stop()
            super().on_headers_complete()

        def _stop(self) -> None:
            if self._head is not None:
                self._head.cancel()
                self._head = None

        def _give_up(self) -> None:
            self._head = None
            answering = self.cycle is not None and not self.cycle.response_complete
            if self._begun and not answering:
                self.transport.write(_refusal())
            self.transport.close()

    return TimedProtocol


def _refusal() -> bytes:
    body = msgspec.json.encode(_SAID)
    head = (
        "HTTP/1.1 408 Request Timeout\r\ncontent-type: application/problem+json\r\n"
        f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
    )
    return head.encode() + body
