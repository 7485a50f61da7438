"""Heads of requests and JSON bodies that come byte by byte, or not at all, are cut off; what comes after is not."""

from __future__ import annotations

import http.client
import socket
import threading
from collections.abc import Iterator

import httpx
import pytest

from tests.http.conftest import started
from tests.patience import patience_s
from tests.serving import Server


@pytest.fixture(scope="module")
def hasty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Waits half a second for a head, or for a JSON body."""
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


@pytest.mark.parametrize("begun", [b"", b'{"caption": "'], ids=["nothing", "a part"])
@pytest.mark.parametrize("route", ["PUT /v1/profile/picture", "POST /v1/stories"])
def test_a_json_body_that_does_not_come_is_not_waited_for(line: socket.socket, route: str, begun: bytes) -> None:
    line.sendall(f"{route} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n".encode())
    line.sendall(b"Content-Length: 50\r\n\r\n" + begun)
    response = refusal(line)
    assert (response.status_code, response.json()["code"]) == (408, "upload_timeout")
    assert "did not come within 0.5 s. Check the connection" in response.json()["detail"]
