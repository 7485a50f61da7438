"""The same request sent twice makes one generation."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from likeness.http.middleware.idempotency import unquoted
from tests.http.conftest import Finished, People
from tests.http.talk import RawUpload, problem, stored
from tests.serving import Server


def test_the_same_again_gets_the_same_answer(finished: Finished, server: Server) -> None:
    before, left = stored(server), finished.ann.remaining()
    again = finished.ann.upload(finished.photos, headers={"Idempotency-Key": finished.key})
    assert again.status_code == 202
    assert again.headers["Location"] == finished.location
    assert again.json()["id"] == finished.generation
    assert again.json()["status"] == "queued"  # as it was then
    assert finished.ann.remaining() == left
    assert stored(server) == before
    assert len(finished.ann.json("/v1/generations")["items"]) == 1


@pytest.mark.parametrize(
    "other",
    [
        {"fields": {"seed": "1"}},
        {"fields": {"styles": "comic"}},
        {"consent": None},
        {"photos": slice(2)},
        {"photos": slice(None, None, -1)},
    ],
)
def test_the_key_of_other_content_is_refused(finished: Finished, other: dict) -> None:  # type: ignore[type-arg]
    photos = finished.photos[other.get("photos", slice(None))]
    fields = {name: value for name, value in other.items() if name != "photos"}
    left = finished.ann.remaining()
    response = finished.ann.upload(photos, headers={"Idempotency-Key": finished.key}, **fields)
    problem(response, 422, "idempotency_key_reused")
    assert finished.ann.remaining() == left


def test_another_users_key_is_another(finished: Finished, person: People) -> None:
    bob = person()
    response = bob.upload(finished.photos[:2], headers={"Idempotency-Key": finished.key})
    problem(response, 422, "wrong_photo_count")


def test_while_the_first_is_in_progress_the_second_must_wait(
    server: Server, person: People, jpegs: list[bytes]
) -> None:
    ann = person()
    key = {"Idempotency-Key": "a key of Ann's"}
    with RawUpload(ann, jpegs, **key) as upload:
        upload.send(0.3)
        server.until(lambda: ann.remaining() == 999)
        response = ann.upload(jpegs, headers=key)
        problem(response, 409, "request_in_progress")
        assert response.headers["Retry-After"]
        first = upload.send().answer()
    assert first.status_code == 202
    again = ann.upload(jpegs, headers=key)
    assert (again.status_code, again.headers["Location"]) == (202, first.headers["Location"])
    assert ann.remaining() == 999


def test_two_at_once_make_one(person: People, jpegs: list[bytes]) -> None:
    ann = person()
    people = [person(token=ann.token) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        responses = list(pool.map(lambda each: each.upload(jpegs, headers={"Idempotency-Key": "k"}), people))
    accepted = {each.headers["Location"] for each in responses if each.status_code == 202}
    assert len(accepted) == 1
    for response in responses:
        if response.status_code != 202:
            problem(response, 409, "request_in_progress")
    assert [each["url"] for each in ann.json("/v1/generations")["items"]] == [*accepted]
    assert ann.remaining() == 999
    again = [ann.upload(jpegs, headers={"Idempotency-Key": "k"}) for _ in range(3)]
    [first] = {each.content for each in responses if each.status_code == 202}
    assert {each.content for each in again} == {first}


def test_after_a_refusal_and_after_a_broken_upload_the_key_is_free(
    server: Server, person: People, jpegs: list[bytes]
) -> None:
    ann = person(tier="lite")
    key = {"Idempotency-Key": "k" * 255}
    problem(ann.upload(jpegs, consent="0", headers=key), 422, "consent_required")
    with RawUpload(ann, jpegs, **key) as upload:
        upload.send(0.5)
        server.until(lambda: ann.remaining() == 0)
    server.until(lambda: ann.remaining() == 1)
    server.until(lambda: ann.upload(jpegs, headers=key).status_code == 202)  # 409 while the broken one is put away
    problem(ann.upload(jpegs), 429, "quota_exceeded")
    assert ann.upload(jpegs, headers=key).status_code == 202  # what was accepted before is still answered


def test_a_key_in_quotes_is_the_same_key(finished: Finished) -> None:
    response = finished.ann.upload(finished.photos, headers={"Idempotency-Key": f'"{finished.key}"'})
    assert (response.status_code, response.headers["Location"]) == (202, finished.location)


@pytest.mark.parametrize(
    ("given", "key"),
    [
        ('"k"', "k"),
        ('"a \\"b\\" \\\\"', 'a "b" \\'),
        ('""', ""),
        ('"k', '"k'),
        ("'k'", "'k'"),
        ('"', '"'),
        ("a\\b", "a\\b"),
    ],
)
def test_quotes_are_taken_off_once(given: str, key: str) -> None:
    assert unquoted(given) == key


@pytest.mark.parametrize("key", ["", '""', "k" * 256, "a\tb", "\xff\x80"])
def test_a_key_must_be_sane(person: People, jpegs: list[bytes], key: str) -> None:
    ann = person()
    response = ann.upload(jpegs, consent=None, headers={"Idempotency-Key": key.encode("latin-1")})
    problem(response, 400, "bad_request")
