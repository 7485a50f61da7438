"""One generation a day, however many try at once; what is refused costs nothing, until there is too much of it."""

from __future__ import annotations

import datetime
import re
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

from tests.http.conftest import People
from tests.http.jwks import Platform
from tests.http.talk import Person, RawUpload, problem, stored
from tests.serving import Server

DAY_S = 86400


def test_the_second_of_a_day_is_refused_until_the_day_ends(person: People, jpegs: list[bytes]) -> None:
    ann = person(tier="lite")
    quota = ann.json("/v1/quota")
    assert (quota["tier"], quota["limit"], quota["remaining"]) == ("lite", 1, 1)
    resets = datetime.datetime.fromisoformat(quota["resets_at"])
    assert resets.time() == datetime.time()
    ann.send("DELETE", ann.accepted(jpegs))  # gives the slot back: it is used again
    location = ann.accepted(jpegs)
    assert ann.remaining() == 0
    with RawUpload(ann, jpegs) as upload:  # its body is never sent
        response = upload.answer()
    detail = problem(response, 429, "quota_exceeded")["detail"]
    said = re.fullmatch(
        r"The limit is 1 generation a day \(UTC\)\. Try again after 00:00 UTC, in (?:(\d+) h)? ?(?:(\d+) min)?\.",
        detail,
    )
    assert said, detail
    wait = int(response.headers["Retry-After"])
    left = (resets - datetime.datetime.now(datetime.UTC)).total_seconds()
    assert abs(wait - left) < 60
    assert abs(3600 * int(said[1] or 0) + 60 * int(said[2] or 0) - left) < 120
    assert response.headers["RateLimit-Policy"] == '"daily";q=1;w=86400'
    assert re.fullmatch(rf'"daily";r=0;t={wait}', response.headers["RateLimit"])
    ann.send("DELETE", location)  # the second time in a day nothing is given back
    assert ann.remaining() == 0
    for _ in range(4):  # which are no attempts that count: it is not their fault
        problem(ann.upload(jpegs), 429, "quota_exceeded")


def test_of_twenty_at_once_one_is_accepted(server: Server, person: People, jpegs: list[bytes]) -> None:
    ann = person(tier="lite")
    people = [person(token=ann.token) for _ in range(20)]
    with ThreadPoolExecutor(20) as pool:
        responses = list(pool.map(lambda each: each.upload(jpegs), people))
    assert Counter(response.status_code for response in responses) == {202: 1, 429: 19}
    for response in responses:
        if response.status_code == 429:
            assert response.json()["code"] in ("upload_in_progress", "quota_exceeded")
            assert int(response.headers["Retry-After"]) > 0
    assert len(ann.json("/v1/generations")["items"]) == 1
    assert ann.remaining() == 0
    check_no_uploads(server)


def check_no_uploads(server: Server) -> None:
    """Nothing of an upload that is over, whatever became of it."""
    server.until(lambda: not [name for name in stored(server) if name.startswith("uploads/")])


def test_another_upload_waits_for_the_one_in_progress(server: Server, person: People, jpegs: list[bytes]) -> None:
    ann = person(tier="lite")
    with RawUpload(ann, jpegs) as upload:
        upload.send(0.5)
        server.until(lambda: ann.remaining() == 0)
        response = ann.upload(jpegs)
        problem(response, 429, "upload_in_progress")
        assert response.headers["Retry-After"] == "5"
    server.until(lambda: ann.remaining() == 1)


def test_a_refused_upload_costs_and_leaves_nothing(server: Server, person: People, jpegs: list[bytes]) -> None:
    ann = person(tier="lite")
    before = [name for name in stored(server) if not name.startswith("avatars/")]
    problem(ann.upload(jpegs[:2]), 422, "wrong_photo_count")
    problem(ann.upload(jpegs, fields={"styles": "gothic"}), 422, "unknown_style")
    assert ann.remaining() == 1
    assert [name for name in stored(server) if not name.startswith("avatars/")] == before
    assert ann.json("/v1/generations")["items"] == []


def test_too_many_refused_uploads_are_refused_before_they_are_read(person: People, jpegs: list[bytes]) -> None:
    ann = person()
    for status, consent in ((422, "0"), (422, None), (422, "old")):
        assert ann.upload(jpegs, consent=consent).status_code == status
    with RawUpload(ann, jpegs) as upload:
        response = upload.answer()
    problem(response, 429, "too_many_attempts")
    assert 3500 < int(response.headers["Retry-After"]) <= 3600
    assert ann.remaining() == 1000
    assert person().upload(jpegs, consent=None).status_code == 422  # another user's are another matter


def test_a_full_queue_lets_nobody_in(closed: Server, person: People, platform: Platform) -> None:
    ann: Person = person(at=closed, token=platform.token("a patient one"))
    with RawUpload(ann, [b"never sent"]) as upload:
        response = upload.answer()
    problem(response, 503, "overloaded")
    assert int(response.headers["Retry-After"]) > 0
    assert ann.remaining() == 1
    assert int(response.headers["Retry-After"]) < DAY_S
