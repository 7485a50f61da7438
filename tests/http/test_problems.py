"""Every refusal is problem details; wrong addresses, methods, bodies, queries and cursors among them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from likeness import errors, refusals
from likeness.intake import errors as intake_errors
from likeness.vault import errors as vault_errors
from tests.http.conftest import Finished
from tests.http.talk import problem
from tests.serving import Server

# What only the command line says, and what is the server's own fault.
NOT_OVER_HTTP = {
    "photo_unreadable",
    "cannot_write",
    "bad_setting",
    "bad_receipt",
    "worker_failed",
    "bad_trust_file",
    "bad_style_pack",
    "bad_webhook_address",
    "bad_webhook_signature",
}
OUR_FAULT = {
    "internal_error",
    "vault_unusable",
    "tampered",
    "storage_unavailable",
    "still_readable",
    "signing_unavailable",
}
ROUTERS_OWN = {"method_not_allowed"}


def codes(kind: type[errors.LikenessError]) -> set[str]:
    return {kind.code}.union(*(codes(each) for each in kind.__subclasses__()))


def test_every_code_is_met_somewhere_in_these_tests() -> None:
    assert refusals, intake_errors
    assert vault_errors
    source = "".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py"))
    wanted = codes(errors.LikenessError) - NOT_OVER_HTTP - OUR_FAULT | ROUTERS_OWN
    assert len(wanted) >= 24
    assert sorted(code for code in wanted if f', "{code}")' not in source) == []


@pytest.mark.parametrize(
    "path", ["/nothing", "/v1", "/v2/generations", "/v1/generations/a/b/c", "/v1/styles/x", "/p", "/studio"]
)
def test_an_unknown_address(server: Server, finished: Finished, path: str) -> None:
    for client in (server.client, finished.ann.client):
        found = problem(client.get(f"{client.base_url}{path}"), 404, "not_found")
        assert found["title"] == "Not Found"


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "/v1/generations", {"GET", "POST"}),
        ("POST", "/v1/gallery", {"GET"}),
        ("PATCH", "/v1/profile/picture", {"GET", "PUT", "DELETE"}),
        ("GET", "/v1/account", {"DELETE"}),
        ("TRACE", "/v1/styles", {"GET"}),
    ],
)
def test_a_method_that_is_not_taken(finished: Finished, method: str, path: str, allowed: set[str]) -> None:
    response = finished.ann.client.request(method, path)
    problem(response, 405, "method_not_allowed")
    assert allowed <= {each.strip() for each in response.headers["Allow"].split(",")}


BODIES: list[bytes] = [
    b"",
    b"{",
    b"[]",
    b"null",
    b"3",
    b'"all"',
    b"{}",
    b'{"avatar": 1}',
    b'{"avatar": null}',
    b'{"avatar": "x", "more": 1}',
    b'{"avatar": "\xff"}',
    b'{"avatar": "\\ud800"}',
    b'{"avatar": "x"} {}',
    b"[" * 100_000,
    b'{"avatar":' * 50_000,
    b"\x00" * 100,
    b"avatar=x",
    "{'avatar': 'x'}".encode("utf-16"),
]


@pytest.mark.parametrize("body", BODIES, ids=range(len(BODIES)))
def test_a_json_body_that_is_none(finished: Finished, body: bytes) -> None:
    headers = {"Content-Type": "application/json"}
    for method, path in (
        ("PUT", "/v1/profile/picture"),
        ("POST", "/v1/stories"),
        ("POST", f"{finished.location}/save"),
    ):
        problem(finished.ann.client.request(method, path, content=body, headers=headers), 400, "bad_request")


SAID = [
    ({"avatar": 1}, "The field avatar must be a text, not a whole number."),
    ({}, "The field avatar is missing."),
    ({"avatar": "x", "more": 1}, "The field more is not known."),
    ({"avatar": "x", "caption": "y" * 501}, "The field caption may have at most 500 characters."),
    ({"avatar": "x", "caption": None}, "The field caption must be a text, not null."),
    ([], "The body must be an object, not a list."),
]


@pytest.mark.parametrize(("body", "said"), SAID, ids=str)
def test_a_refusal_names_the_field_at_fault_in_plain_words(finished: Finished, body: Any, said: str) -> None:
    response = finished.ann.client.post("/v1/stories", json=body)
    assert problem(response, 400, "bad_request")["detail"] == f"{said} GET /schema says what to send."


def test_a_refusal_names_no_innocent_field(finished: Finished) -> None:
    response = finished.ann.client.post(f"{finished.location}/save", json={"avatars": [0, -1]})
    detail = problem(response, 400, "bad_request")["detail"]
    assert detail == "The field avatars[1] must be at least 0. GET /schema says what to send."
    response = finished.ann.get(f"{finished.location}/avatars/0?size=63")
    detail = problem(response, 400, "bad_request")["detail"]
    assert detail == "The query parameter size does not take '63'. GET /schema says what to send."


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "The body is empty. GET /schema says what to send."),
        (b"{", "The body is not whole JSON. Send all of it."),
        (b"avatar=x", "The body is not JSON. Send JSON."),
        (b'{"avatar": "\xff"}', "The body is not UTF-8. Send JSON as UTF-8."),
    ],
)
def test_a_refusal_says_why_a_body_cannot_be_read(finished: Finished, body: bytes, said: str) -> None:
    response = finished.ann.client.post("/v1/stories", content=body)
    assert problem(response, 400, "bad_request")["detail"] == said


@pytest.mark.parametrize("name", ["avatar", "caption"])
def test_a_nul_is_refused_by_name_whatever_the_database(finished: Finished, name: str) -> None:
    body = {"avatar": finished.avatar, "caption": "Hello"} | {name: "a\0b"}
    found = problem(finished.ann.client.post("/v1/stories", json=body), 400, "bad_request")
    assert found["detail"] == f"The field {name} holds a NUL character. Leave it out."


CHOICES: list[Any] = ["none", "", [-1], [1.5], ["x"], [None], [True], {"0": 1}, None, 0, [[0]]]


@pytest.mark.parametrize("chosen", CHOICES, ids=str)
def test_a_choice_of_avatars_that_is_none(finished: Finished, chosen: Any) -> None:
    for action in ("save", "discard"):
        response = finished.ann.client.post(f"{finished.location}/{action}", json={"avatars": chosen})
        problem(response, 400, "bad_request")


def test_a_body_that_is_too_large(finished: Finished) -> None:
    response = finished.ann.client.post("/v1/stories", content=bytes(10_000_001))
    problem(response, 413, "too_large")


LIMITS = ["0", "-1", "101", "x", "", "1.5", "9" * 30]
CURSORS = ["", "x", "zz", "%00", "%C3%A9", "%ff", "ktkgRXhpc3Q", "A" * 999]
QUERIES = [*(f"limit={each}" for each in LIMITS), *(f"cursor={each}" for each in CURSORS)]


@pytest.mark.parametrize("query", QUERIES)
def test_a_page_that_is_none(finished: Finished, query: str) -> None:
    for path in ("/v1/generations", "/v1/gallery", "/v1/stories"):
        problem(finished.ann.get(f"{path}?{query}"), 400, "bad_request")


@pytest.mark.parametrize("size", ["", "63", "1024", "64px", "FULL", "-64", "64&size=x"])
def test_a_size_that_is_none(finished: Finished, size: str) -> None:
    for url in (f"{finished.location}/avatars/0", f"/v1/gallery/{finished.avatar}/image", finished.picture_url):
        problem(finished.ann.get(f"{url}?size={size}"), 400, "bad_request")


def test_a_waiting_avatar_has_no_image_and_cannot_be_saved(local: Server, waiting: str) -> None:
    problem(local.client.get(f"{waiting}/avatars/0"), 409, "conflict")
    for action in ("save", "discard"):
        problem(local.client.post(f"{waiting}/{action}", json={"avatars": [0]}), 409, "conflict")
        assert local.client.post(f"{waiting}/{action}", json={"avatars": "all"}).json()["items"] == []


def test_a_request_id_is_kept_if_it_is_sane(server: Server) -> None:
    assert server.client.get("/nothing", headers={"X-Request-ID": "mine-1.2_3"}).json()["request_id"] == "mine-1.2_3"
    for bad in ("x" * 65, "a b", "<script>", ""):
        found = problem(server.client.get("/nothing", headers={"X-Request-ID": bad}), 404, "not_found")
        assert found["request_id"] != bad
