"""A photo looked at before an upload: what it is told, what it may take, and that nothing of it stays."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import httpx
import pytest

from likeness.errors import PhotoError
from likeness.http.checks import CHECKS_AN_HOUR, CheckTurns
from likeness.http.problems import problem_of
from likeness.intake import Decoders
from likeness.refusals import ChecksError
from tests.http.conftest import People, jpeg
from tests.http.jwks import Platform
from tests.http.talk import Person, RawUpload, problem, stored
from tests.http.test_photos_refused import BAD, Pixels
from tests.patience import patience_s
from tests.serving import Server

LARGE = 15_000_000
URL = "/v1/photos/check"


def check(person: Person, photo: Any, media_type: str = "image/jpeg") -> httpx.Response:
    return person.client.post(URL, content=photo, headers={"Content-Type": media_type})


@pytest.mark.parametrize("media_type", ["image/jpeg", "IMAGE/PNG; x=y", "application/octet-stream"])
def test_a_good_photo_is_accepted_with_its_quality(person: People, jpegs: list[bytes], media_type: str) -> None:
    response = check(person(), jpegs[0], media_type)
    assert response.status_code == 200, response.text
    assert response.json()["accepted"] is True
    assert 0.5 < response.json()["quality"] <= 1


@pytest.mark.parametrize("name", BAD)
def test_a_bad_photo_gets_its_code_and_a_sentence(person: People, astronaut: Pixels, name: str) -> None:
    make, code = BAD[name]
    found = problem(check(person(), make(astronaut[:300, 90:390])), 422, "photo_refused")
    [photo] = found["photos"]
    assert (photo["index"], photo["code"], photo["message"]) == (0, code, found["detail"])


def test_several_faces_are_refused_and_a_dim_photo_is_rated_lower(person: People, astronaut: Pixels) -> None:
    ann, face = person(), astronaut[:300, 90:390]
    both = jpeg(astronaut[:300, [*range(90, 390), *range(90, 390)]])
    assert problem(check(ann, both), 422, "photo_refused")["photos"][0]["code"] == "several_faces"
    good, dim = (check(ann, jpeg((face * light).astype("uint8"))).json()["quality"] for light in (1.0, 0.12))
    assert dim < good


def test_nothing_of_a_check_is_kept_or_counted(server: Server, person: People, jpegs: list[bytes]) -> None:
    ann = person(tier="lite")
    before = stored(server)
    for _ in range(5):  # more often than uploads may be refused
        check(ann, b"no photo at all" * 1000)
    assert check(ann, jpegs[0]).status_code == 200
    assert [name for name in stored(server) if name not in before and name.startswith(("uploads/", "photos/"))] == []
    assert ann.json("/v1/generations")["items"] == []
    assert ann.remaining() == 1
    assert ann.upload(jpegs).status_code == 202
    log = server.log.read_text()
    assert "no photo at all" not in log
    assert "/v1/photos/check" in log


def test_who_may_not_upload_may_not_check(
    server: Server, person: People, closed: Server, platform: Platform, jpegs: list[bytes]
) -> None:
    problem(httpx.post(f"{server.client.base_url}{URL}", content=jpegs[0]), 401, "unauthorized")
    problem(check(person(region="elsewhere"), jpegs[0]), 403, "region_not_enabled")
    must_pay = person(at=closed, token=platform.token("a payer to be", tier="lite"))
    problem(check(must_pay, jpegs[0]), 402, "payment_required")


def test_another_sites_page_has_nothing_checked(local: Server, jpegs: list[bytes]) -> None:
    headers = {"Sec-Fetch-Site": "cross-site", "Content-Type": "image/jpeg"}
    problem(local.client.post(URL, content=jpegs[0], headers=headers), 403, "foreign_origin")


@pytest.mark.parametrize("media_type", ["text/plain", "multipart/form-data; boundary=b", "image", ""])
def test_a_body_that_is_no_picture_by_its_type(person: People, jpegs: list[bytes], media_type: str) -> None:
    problem(check(person(), jpegs[0], media_type), 415, "unsupported_media_type")


def test_a_photo_over_15_megabytes_is_not_waited_for(person: People, jpegs: list[bytes]) -> None:
    ann = person()
    with RawCheck(ann, jpegs, **{"content-length": str(LARGE + 1)}) as upload:
        problem(upload.answer(), 413, "too_large")
    pieces = (bytes(1_000_000) for _ in range(16))  # of no declared length
    problem(check(ann, pieces), 413, "too_large")


def test_a_slow_photo_is_given_up(local: Server, person: People, jpegs: list[bytes]) -> None:
    with RawCheck(person(at=local), jpegs) as upload:
        problem(upload.send(0.5).answer(), 408, "upload_timeout")


def test_a_client_that_goes_away_is_no_error_and_frees_its_turn(
    server: Server, person: People, jpegs: list[bytes]
) -> None:
    ann, before = person(), server.log.read_text().count('"level":"error"')
    with RawCheck(ann, jpegs) as upload:
        upload.send(0.5)
    assert check(ann, jpegs[0]).status_code == 200
    assert server.log.read_text().count('"level":"error"') == before


class RawCheck(RawUpload):
    """A check by hand: one photo, sent as the test says."""

    def request(self, client: httpx.Client, photos: Sequence[bytes]) -> httpx.Request:
        return client.build_request("POST", URL, content=photos[0], headers={"Content-Type": "image/jpeg"})


def test_one_at_a_time_and_so_many_an_hour() -> None:
    async def run() -> None:
        now = [0.0]
        turns = CheckTurns(3, clock=lambda: now[0])
        running: list[str] = []

        async def one(owner: str) -> int:
            async with turns.turn(owner):
                running.append(owner)
                at_once = running.count(owner)
                await asyncio.sleep(0)
                running.remove(owner)
                return at_once

        assert await asyncio.gather(one("ann"), one("ann"), one("bob"), one("ann")) == [1, 1, 1, 1]
        now[0] = 600.0
        with pytest.raises(ChecksError) as caught:
            await one("ann")
        assert caught.value.headers["Retry-After"] == "3000"
        assert await one("bob") == 1
        now[0] = 3600.0
        assert await one("ann") == 1
        assert set(turns._users) == {"ann", "bob"}
        now[0] = 7201.0
        assert await one("eve") == 1
        assert set(turns._users) == {"eve"}

    asyncio.run(run())


def test_too_many_checks_are_told_as_a_problem() -> None:
    found, headers = problem_of(ChecksError(CHECKS_AN_HOUR, 12.3))
    assert (found.status, found.code, headers["Retry-After"]) == (429, "too_many_attempts", "13")
    assert found.detail == "120 photos were checked in the last hour; uploads need no check. Try again in 1 min."


async def pieces(photo: bytes) -> AsyncIterator[bytes]:
    yield photo


def test_a_decoder_checks_one_photo(jpegs: list[bytes]) -> None:
    async def run() -> None:
        decoders = Decoders(1)
        async with decoders.take_to_check() as decoder:
            assert 0.5 < await decoder.check(pieces(jpegs[0])) <= 1
            with pytest.raises(RuntimeError, match="one upload"):
                await decoder.check(pieces(jpegs[0]))
        async with decoders.take_to_check() as decoder:
            with pytest.raises(PhotoError, match="not a picture"):
                await decoder.check(pieces(b"text"))

    asyncio.run(run())


def test_checks_leave_the_last_decoder_to_uploads() -> None:
    async def run() -> None:
        decoders = Decoders(2)
        async with decoders.take_to_check():
            second = asyncio.ensure_future(decoders.take_to_check().__aenter__())
            async with asyncio.timeout(patience_s(30)), decoders.take():
                pass  # an upload's turn comes although a check waits
            assert not second.done()
            second.cancel()
            await asyncio.gather(second, return_exceptions=True)

    asyncio.run(run())


def test_what_the_document_says_of_it(person: People) -> None:
    operation = person().json("/schema/openapi.json")["paths"][URL]["post"]
    body = operation["requestBody"]
    assert body["required"]
    assert set(body["content"]) == {
        "image/jpeg",
        "image/png",
        "image/webp",
        "image/avif",
        "application/octet-stream",
    }
    refused = {"400", "401", "402", "403", "408", "413", "415", "422", "429"}
    assert set(operation["responses"]) == {"200", *refused}
    assert operation["responses"]["200"]["content"]["application/json"]["example"] == {
        "accepted": True,
        "quality": 0.83,
    }
