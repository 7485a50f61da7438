"""Photos, counts and fields that are refused: each with its code, the bad ones named by index, all at once."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageOps

from tests.http.conftest import People, jpeg
from tests.http.talk import Person, problem, stored
from tests.serving import CONSENT, Server

Pixels = NDArray[np.uint8]


def encode(picture: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def moving(kind: str) -> Callable[[Pixels], bytes]:
    def make(face: Pixels) -> bytes:
        frames = [Image.fromarray(face), Image.fromarray(face[::-1])]
        return encode(frames[0], kind, save_all=True, append_images=frames[1:], duration=100)

    return make


def small(face: Pixels) -> Pixels:
    return np.asarray(Image.fromarray(face).resize((100, 100)))


def noise(_: Pixels) -> bytes:
    return jpeg(np.random.default_rng(0).integers(0, 255, (300, 300, 3), np.uint8))


BAD: dict[str, tuple[Callable[[Pixels], bytes], str]] = {
    "text": (lambda _: b"Dear server, here is a photo of me. " * 50, "not_an_image"),
    "nothing": (lambda _: b"", "not_an_image"),
    "half a photo": (lambda face: jpeg(face)[:2000], "not_an_image"),
    "a GIF": (lambda face: encode(Image.fromarray(face), "GIF"), "unsupported_format"),
    "a TIFF": (lambda face: encode(Image.fromarray(face), "TIFF"), "unsupported_format"),
    "a moving WebP": (moving("WEBP"), "animated"),
    "a moving PNG": (moving("PNG"), "animated"),
    "a far-off face": (lambda face: jpeg(small(face)), "too_small"),
    "noise": (noise, "no_face"),
    "a wall": (lambda face: jpeg(np.full_like(face, 200)), "no_face"),
}


@pytest.mark.parametrize("chosen", [list(BAD)[:5], list(BAD)[5:]], ids=["no pictures", "no portraits"])
def test_bad_photos_are_named_all_at_once(
    server: Server, person: People, jpegs: list[bytes], astronaut: Pixels, chosen: list[str]
) -> None:
    ann = person(tier="lite")
    photos = [jpegs[0], *(BAD[name][0](astronaut[:300, 90:390]) for name in chosen), jpegs[1]]
    found = problem(ann.upload(photos), 422, "photo_refused")
    expected = [(index, BAD[name][1]) for index, name in enumerate(chosen, start=1)]
    assert [(photo["index"], photo["code"]) for photo in found["photos"]] == expected
    for photo in found["photos"]:
        assert photo["message"].endswith(".")
        assert photo["name"] == f"photo {photo['index'] + 1}"
    assert not [name for name in stored(server) if name.startswith("uploads/")]
    assert ann.remaining() == 1


def test_several_faces_are_refused(person: People, jpegs: list[bytes], astronaut: Pixels) -> None:
    face = astronaut[:300, 90:390]
    found = problem(person().upload([jpeg(np.hstack([face, face])), *jpegs[:2]]), 422, "photo_refused")
    assert [(photo["index"], photo["code"]) for photo in found["photos"]] == [(0, "several_faces")]


def test_formats_that_phones_and_cameras_make_are_taken(person: People, astronaut: Pixels) -> None:
    face = Image.fromarray(astronaut[:300, 90:390])
    exif = face.getexif()
    exif[0x010F] = "A camera's maker"
    mirrored, closer = ImageOps.mirror(face), face.crop((20, 0, 300, 280))
    photos = [encode(face, "PNG"), encode(mirrored, "WEBP", exif=exif), encode(closer, "AVIF")]
    answer = person().upload(photos)
    assert answer.status_code == 202
    assert all(photo["accepted"] for photo in answer.json()["photos"])


@pytest.mark.parametrize("count", [0, 1, 2, 11])
def test_the_number_of_photos(person: People, jpegs: list[bytes], count: int) -> None:
    photos = [jpegs[0]] * count
    ann = person()
    if photos:
        problem(ann.upload(photos), 422, "wrong_photo_count")
    else:
        problem(form(ann), 422, "wrong_photo_count")


def form(ann: Person, **fields: Any) -> Any:
    """A form without photos."""
    parts = {name: (None, value) for name, value in {"consent": CONSENT, **fields}.items()}
    return ann.client.post("/v1/generations", files=parts)


@pytest.mark.parametrize("consent", [None, "", "0", "2", " 1", "yes"])
def test_consent_to_the_current_policy_is_needed(person: People, jpegs: list[bytes], consent: str | None) -> None:
    ann = person()
    assert ann.json("/v1/policy")["version"] == CONSENT
    found = problem(ann.upload(jpegs, consent=consent), 422, "consent_required")
    assert f"consent={CONSENT}" in found["detail"]


@pytest.mark.parametrize("styles", ["gothic", ["comic", "gothic", "baroque"], " ", "COMIC", "../comic"])
def test_unknown_styles_are_named_and_the_known_ones_too(person: People, jpegs: list[bytes], styles: Any) -> None:
    found = problem(person().upload(jpegs, fields={"styles": styles}), 422, "unknown_style")
    assert "comic" in found["detail"]
    if isinstance(styles, list):
        assert all(name in found["detail"] for name in ("gothic", "baroque"))


def test_empty_styles_and_an_empty_seed_count_as_not_given(person: People, jpegs: list[bytes]) -> None:
    ann = person()
    accepted = ann.upload(jpegs, fields={"styles": "", "seed": ""})
    assert accepted.status_code == 202, accepted.text
    assert len(accepted.json()["styles"]) == 5
    ann.send("DELETE", accepted.headers["Location"])


def test_the_policy_says_what_is_kept_and_how_long(person: People) -> None:
    lite, plus = person(tier="lite").json("/v1/policy"), person().json("/v1/policy")
    assert (lite["photos_deleted_after_s"], plus["photos_deleted_after_s"]) == (300, 0)
    assert (plus["photos_live_at_most_s"], plus["unsaved_avatars_live_s"], plus["stories_live_s"]) == (
        3600,
        86400,
        86400,
    )
    assert "within 5 minutes" in lite["text"]
    assert "at once" in plus["text"]
