"""Photos as a set: the usable ones go on, the others are named in the answer, and nothing of them stays."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from likeness.packs import is_identity_installed
from likeness.photos import decode_photo
from likeness_identity import STRANGER
from tests.faces import someone_else, traces_of
from tests.http.conftest import People, jpeg
from tests.http.talk import problem, stored
from tests.serving import Server

Pixels = NDArray[np.uint8]
with_models = pytest.mark.skipif(not is_identity_installed(), reason="needs the extra identity")


def copy_of(photo: bytes) -> bytes:
    """The same picture, smaller and compressed again."""
    pixels = decode_photo(photo)
    height, width = pixels.shape[:2]
    small = cv2.resize(pixels, (round(width * 0.8), round(height * 0.8)), interpolation=cv2.INTER_AREA)
    return jpeg(np.asarray(small, np.uint8), quality=60)


def of(photos: list[dict[str, Any]]) -> list[tuple[int, str | None]]:
    """The places and codes of those that are left out."""
    return [(photo["index"], photo["reason"]) for photo in photos if not photo["accepted"]]


def test_three_usable_photos_go_on_and_the_others_are_named(server: Server, person: People, jpegs: list[bytes]) -> None:
    ann = person()
    sent = [b"no picture", *jpegs[:2], copy_of(jpegs[0]), jpegs[2]]
    first = ann.upload(sent, headers={"Idempotency-Key": "a set"})
    assert first.status_code == 202, first.text
    photos = first.json()["photos"]
    assert [photo["index"] for photo in photos] == [0, 1, 2, 3, 4]
    assert of(photos) == [(0, "not_an_image"), (3, "duplicate")]
    assert photos[0]["message"] == "This is not a picture. Use a JPEG, PNG, WebP, AVIF or HEIC photo."
    assert photos[3]["message"] == "This is the same picture as photo 2. Use another one."
    assert photos[1] == {"index": 1, "accepted": True, "reason": None, "message": None}
    assert ann.upload(sent, headers={"Idempotency-Key": "a set"}).text == first.text
    location = first.headers["Location"]
    list(ann.events(location))
    assert ann.json(location)["photos"] == photos
    assert [name for name in stored(server) if location.rsplit("/", 1)[1] in name and "avatars/" not in name] == []


def test_a_left_out_photo_is_no_refused_attempt(person: People, jpegs: list[bytes]) -> None:
    ann = person()
    for _ in range(4):  # one more than refusals that an hour allows
        ann.accepted([*jpegs, b"no picture"])


def test_no_crop_of_a_left_out_photo_is_stored(local: Server, jpegs: list[bytes]) -> None:
    generation = local.accepted([jpegs[0], jpegs[0], *jpegs[1:]])
    assert of(local.generation(generation)["photos"]) == [(1, "duplicate")]
    kept = [name for name in stored(local) if generation in name]
    assert sorted(kept) == [f"photos/{generation}/{index}" for index in range(3)]


def test_below_three_all_unusable_ones_are_named_and_how_many_are_missing(person: People, jpegs: list[bytes]) -> None:
    found = problem(person().upload([jpegs[0], copy_of(jpegs[0]), jpegs[1], b""]), 422, "photo_refused")
    assert [(photo["index"], photo["code"]) for photo in found["photos"]] == [(1, "duplicate"), (3, "not_an_image")]
    assert found["detail"].endswith("2 of 4 photos can be used. Give at least 1 more that can.")


def test_the_policy_and_the_health_say_whether_faces_are_compared(server: Server, person: People) -> None:
    policy, compared = person().json("/v1/policy"), is_identity_installed()
    assert policy["faces_compared"] is compared
    assert ("We compare the faces" in policy["text"]) is compared
    assert policy["version"] == ("1-faces" if compared else "1")
    assert server.client.get("/health/ready").json()["faces_compared"] is compared


@with_models
def test_an_old_consent_is_refused_once_faces_are_compared(person: People, jpegs: list[bytes]) -> None:
    found = problem(person().upload(jpegs, consent="1"), 422, "consent_required")
    assert "consent=1-faces" in found["detail"]


@with_models
def test_a_stranger_is_left_out(person: People, jpegs: list[bytes], astronaut: Pixels) -> None:
    photos = [jpegs[0], jpeg(someone_else(astronaut)), *jpegs[1:]]
    answer = person().upload(photos).json()["photos"]
    assert of(answer) == [(1, "refused_by_review")]
    assert answer[1]["message"] == STRANGER
    found = problem(person().upload(photos[:3]), 422, "photo_refused")
    assert [(photo["index"], photo["message"]) for photo in found["photos"]] == [(1, STRANGER)]


@with_models
def test_no_embedding_is_stored_or_logged(local: Server, jpegs: list[bytes]) -> None:
    local.accepted(jpegs)
    traces = traces_of(jpegs)
    files = [local.log, *(path for path in local.data.rglob("*") if path.is_file())]
    assert any(path.suffix == ".db" for path in files)
    for path in files:
        content = path.read_bytes()
        assert not [trace for trace in traces if trace in content], path
