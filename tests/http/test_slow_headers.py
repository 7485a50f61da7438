"""Heads of requests and JSON bodies that come byte by byte, or not at all, are cut off; what comes after is not."""

from __future__ import annotations

import asyncio
import http.client
import socket
import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from likeness.intake import UploadTimeoutError
from tests.http.conftest import started
from tests.patience import patience_s
from tests.serving import Server


@pytest.fixture(scope="module")
def hasty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Waits half a second for a head."""
    yield from started(tmp_path_factory.mktemp("hasty") / "data", "--no-worker", headers_total_s=0.5)


@pytest.fixture
def line(hasty: Server) -> Iterator[socket.socket]:
    url = hasty.client.base_url
    with socket.create_connection((url.host, url.port or 80), timeout=patience_s()) as line:
        yield line


def refusal(line: socket.socket) -> httpx.Response:
    response = http.client.HTTPResponse(line)
    response.begin()
    headers = list(response.headers.items())
    return httpx.Response(response.status, headers=headers, content=response.read())


def drip(line: socket.socket, stop: threading.Event) -> None:
    """A header that has no end, a letter at a time."""
    try:
        line.sendall(b"GET /health/live HTTP/1.1\r\nHost: localhost\r\nX-Drip: ")
        while not stop.wait(0.02):
            line.sendall(b"x")
    except OSError:
        return  # cut off


def test_dripped_headers_are_cut_off_and_told_why(line: socket.socket) -> None:
    stop = threading.Event()
    dripping = threading.Thread(target=drip, args=(line, stop))
    dripping.start()
    try:
        response = refusal(line)
    finally:
        stop.set()
        dripping.join()
    assert (response.status_code, response.json()["code"]) == (408, "request_timeout")
    assert response.headers["Content-Type"] == "application/problem+json"


def test_a_connection_without_a_request_is_closed(line: socket.socket) -> None:
    assert line.recv(1000) == b""


def test_the_head_of_a_later_request_has_a_limit_too(line: socket.socket) -> None:
    line.sendall(b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert refusal(line).json() == {"live": True}
    line.sendall(b"GET /health/live HTTP/1.1\r\nHost:")
    assert refusal(line).json()["code"] == "request_timeout"


def test_what_takes_longer_after_its_head_is_not_cut_off(
    hasty: Server, line: socket.socket, jpegs: list[bytes]
) -> None:
    location = f"/v1/generations/{hasty.accepted(jpegs)}"
    with hasty.client.stream("GET", f"{location}/events") as stream:
        lines = stream.iter_lines()
        assert next(lines) == "id: 1"
        assert line.recv(1000) == b""  # as old as the stream's connection, and closed
        assert hasty.client.delete(location).status_code == 200
        assert "event: cancelled" in lines


def test_a_json_body_that_does_not_come_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    from likeness.http import app

    async def silent() -> Any:
        await asyncio.Event().wait()

    monkeypatch.setattr(app, "JSON_S", 0.01)
    route = SimpleNamespace(resolve_request_max_body_size=lambda: None)
    scope: Any = {"type": "http", "headers": [], "route_handler": route}
    request: Any = app._Request(scope, receive=silent)
    with pytest.raises(UploadTimeoutError, match=r"did not come within 0\.01 s\. Check the connection"):
        asyncio.run(request.json())
