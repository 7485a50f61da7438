"""HEAD wherever GET is: the same status and headers, and no body; a stream of events is not held."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.http.conftest import Finished
from tests.http.talk import problem
from tests.serving import Server

VARYING = {"date", "x-request-id"}
# Their length grows from one request to the next, or is known only at the end.
SIZES_VARY = {"/metrics", "/v1/generations/{generation}/events"}


def addresses(finished: Finished) -> dict[str, str]:
    """Every path of the document that takes GET, with known values in it."""
    known: dict[str, Any] = {"generation": finished.generation, "index": 0, "avatar": finished.avatar, "name": "comic"}
    known |= {"token": finished.picture_url.rsplit("/", 1)[1], "file": "api.js"}
    paths = finished.ann.json("/schema/openapi.json")["paths"]
    return {path: path.format(**known) for path, item in paths.items() if "get" in item}


def headers(response: httpx.Response, without: set[str]) -> dict[str, str]:
    return {name: value for name, value in response.headers.items() if name not in VARYING | without}


def test_every_get_has_a_head(finished: Finished) -> None:
    found = addresses(finished)
    assert len(found) >= 20
    for path, address in {**found, "/schema": "/schema"}.items():
        got, head = (finished.ann.client.request(method, address) for method in ("GET", "HEAD"))
        without = {"content-length", "transfer-encoding"} if path in SIZES_VARY else set()
        assert (head.status_code, headers(head, without)) == (got.status_code, headers(got, without)), path
        assert head.content == b"", path
        assert path in SIZES_VARY or int(head.headers["Content-Length"]) == int(got.headers["Content-Length"]) > 0


def test_an_unchanged_image_is_not_sent_for_head_either(finished: Finished) -> None:
    tag = finished.ann.client.head(finished.picture_url).headers["ETag"]
    assert finished.ann.client.head(finished.picture_url, headers={"If-None-Match": tag}).status_code == 304


@pytest.mark.parametrize("path", ["/nothing", "/v1/gallery/none/image", "/p/none"])
def test_a_refusal_has_no_body_either(finished: Finished, path: str) -> None:
    head, got = finished.ann.client.head(path), finished.ann.get(path)
    assert (head.status_code, head.content) == (got.status_code, b"")
    assert head.headers["Content-Type"] == "application/problem+json"
    assert head.headers["Content-Length"] == got.headers["Content-Length"]


def test_the_head_of_a_stream_that_goes_on_ends_at_once(local: Server, waiting: str) -> None:
    head = local.client.head(f"{waiting}/events")
    assert head.status_code == 200
    assert head.headers["Content-Type"].startswith("text/event-stream")
    assert local.client.get("/health/live").status_code == 200  # over the same connection


def test_who_may_not_get_may_not_head(server: Server, finished: Finished) -> None:
    for url in (finished.location, f"{finished.location}/avatars/0", "/v1/gallery"):
        assert server.client.head(url).status_code == 401


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PATCH", "/v1/profile/picture", "DELETE, GET, HEAD, OPTIONS, PUT"),
        ("DELETE", "/p/x", "GET, HEAD, OPTIONS"),
        ("GET", "/v1/account", "DELETE, OPTIONS"),
    ],
)
def test_allow_names_head_where_it_is(finished: Finished, method: str, path: str, allowed: str) -> None:
    response = finished.ann.client.request(method, path)
    problem(response, 405, "method_not_allowed")
    assert response.headers["Allow"] == allowed
    assert finished.ann.client.head("/v1/account").status_code == 405
