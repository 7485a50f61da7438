"""Uploads whose body is wrong as a form: too large, miscounted, cut off, too slow, of another type."""

from __future__ import annotations

import gzip
import time
from typing import Any

import pytest

from tests.http.conftest import People
from tests.http.talk import Person, RawUpload, named, problem, stored
from tests.patience import patience_s
from tests.serving import CONSENT, Server

LARGE = 15_000_000


@pytest.fixture
def ann(person: People) -> Person:
    return person(tier="lite")


def check_free(server: Server, ann: Person) -> None:
    """The slot is free again and nothing of the upload is stored."""
    assert ann.remaining() == 1
    assert not [name for name in stored(server) if name.startswith("uploads/")]


def post(ann: Person, **options: Any) -> Any:
    return ann.client.post("/v1/generations", **options)


def test_a_photo_over_15_megabytes_is_too_large(server: Server, ann: Person, jpegs: list[bytes]) -> None:
    found = problem(ann.upload([*jpegs, bytes(LARGE + 1)]), 413, "too_large")
    assert "Photo 4" in found["detail"]
    check_free(server, ann)


def test_a_body_over_155_megabytes_is_not_waited_for(server: Server, ann: Person, jpegs: list[bytes]) -> None:
    with RawUpload(ann, jpegs, **{"content-length": "155000001"}) as upload:
        problem(upload.answer(), 413, "too_large")
    check_free(server, ann)


def test_a_body_that_stops_half_way_is_no_attempt(server: Server, ann: Person, jpegs: list[bytes]) -> None:
    before = errors(server)
    for _ in range(5):  # more often than uploads may be refused
        with RawUpload(ann, jpegs) as upload:
            upload.send(0.6)
            server.until(lambda: ann.remaining() == 0)
        server.until(lambda: ann.remaining() == 1)
    check_free(server, ann)
    assert errors(server) == before  # a client that went away is no error of ours


def errors(server: Server) -> int:
    return server.log.read_text().count('"level":"error"')


def test_a_body_shorter_than_declared(server: Server, ann: Person, jpegs: list[bytes]) -> None:
    with RawUpload(ann, jpegs, **{"content-length": "999999"}) as upload:
        upload.send(0.5)
        server.until(lambda: ann.remaining() == 0)
        upload.send().shut()
        server.until(lambda: ann.remaining() == 1)
    check_free(server, ann)


def test_a_body_longer_than_declared_is_read_as_far_as_declared(
    server: Server, ann: Person, jpegs: list[bytes]
) -> None:
    with RawUpload(ann, jpegs, **{"content-length": "5000"}) as upload:
        found = problem(upload.send(0.1).answer(), 400, "bad_form")
    assert found["detail"] == "The form stops half-way. Send it again, whole."
    check_free(server, ann)


def test_a_body_in_chunks_of_no_declared_length(ann: Person, jpegs: list[bytes]) -> None:
    request = ann.client.build_request("POST", "/v1/generations", files=named(jpegs), data={"consent": "0"})
    body = request.read()
    pieces = (body[start : start + 1000] for start in range(0, len(body), 1000))
    response = post(ann, content=pieces, headers={"Content-Type": request.headers["Content-Type"]})
    problem(response, 422, "consent_required")


def test_a_slow_upload_is_given_up(local: Server, person: People, jpegs: list[bytes]) -> None:
    ann = person(at=local)
    left = ann.remaining()
    begun = time.monotonic()
    with RawUpload(ann, jpegs) as upload:
        problem(upload.send(0.5).answer(), 408, "upload_timeout")
    assert time.monotonic() - begun < patience_s(10)
    assert ann.remaining() == left
    assert not [name for name in stored(local) if name.startswith("uploads/")]


def part(head: str, content: str = "x") -> str:
    return f"--b\r\nContent-Disposition: form-data{head}\r\n\r\n{content}\r\n"


FORMS = {
    "a part without a name": part(""),
    "a part with an empty name": part('; name=""'),
    "an unknown field": part('; name="colour"'),
    "200 parts": part('; name="styles"') * 200,
    "a long field": part('; name="styles"', "x" * 2000),
    "consent twice": part('; name="consent"') * 2,
    "a seed that is none": part('; name="seed"', "-1"),
    "another disposition": part("").replace("form-data", "attachment"),
    "no end": part('; name="consent"', "1")[:-2],
    "a broken head": "--b\r\nnonsense\r\n\r\nx\r\n",
}


def test_a_photo_needs_no_file_name(server: Server, ann: Person) -> None:
    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    body = part('; name="photos"') + part('; name="consent"', CONSENT) + part('; name="seed"', "") + "--b--\r\n"
    problem(post(ann, content=body.encode(), headers=headers), 422, "wrong_photo_count")
    check_free(server, ann)


@pytest.mark.parametrize("coding", ["gzip", "GZIP", "br, identity", "deflate", "x"])
def test_a_compressed_body_is_refused_before_it_is_read(
    server: Server, ann: Person, jpegs: list[bytes], coding: str
) -> None:
    with RawUpload(ann, jpegs, **{"content-encoding": coding}) as upload:
        response = upload.answer()
    assert "compressed" in problem(response, 415, "unsupported_media_type")["detail"]
    assert response.headers["Accept-Encoding"] == "identity"
    for method, path in (("POST", "/v1/stories"), ("PUT", "/v1/profile/picture"), ("POST", "/v1/photos/check")):
        headers = {"Content-Encoding": coding, "Content-Type": "application/json"}
        response = ann.client.request(method, path, content=gzip.compress(b"{}"), headers=headers)
        problem(response, 415, "unsupported_media_type")
    check_free(server, ann)


def test_identity_is_no_coding(ann: Person, jpegs: list[bytes]) -> None:
    problem(ann.upload(jpegs, consent="0", headers={"Content-Encoding": "identity"}), 422, "consent_required")


@pytest.mark.parametrize("name", FORMS)
def test_a_form_that_is_none(server: Server, ann: Person, name: str) -> None:
    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    body = FORMS[name] if name == "no end" else f"{FORMS[name]}--b--\r\n"
    problem(post(ann, content=body.encode(), headers=headers), 400, "bad_form")
    check_free(server, ann)


@pytest.mark.parametrize(
    ("kind", "refusal"),
    [
        (None, (415, "unsupported_media_type")),
        ("", (415, "unsupported_media_type")),
        ("application/json", (415, "unsupported_media_type")),
        ("application/x-www-form-urlencoded", (415, "unsupported_media_type")),
        ("multipart/mixed; boundary=b", (415, "unsupported_media_type")),
        ("nonsense", (415, "unsupported_media_type")),
        ("multipart/form-data", (400, "bad_form")),
        ("multipart/form-data; boundary=", (400, "bad_form")),
        ("multipart/form-data; boundary=another", (400, "bad_form")),
        (f"multipart/form-data; boundary={'b' * 71}", (400, "bad_form")),
    ],
)
def test_a_content_type_that_lies(
    server: Server, ann: Person, jpegs: list[bytes], kind: str | None, refusal: tuple[int, str]
) -> None:
    with RawUpload(ann, jpegs, **{"content-type": kind or ""}) as upload:
        if kind and "another" in kind:  # the others are refused before the body is read
            upload.send()
        problem(upload.answer(), *refusal)
    check_free(server, ann)
