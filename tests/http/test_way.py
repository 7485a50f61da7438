"""From an upload to images: the answer, the events, each avatar in every format and size."""

from __future__ import annotations

import io
from collections import Counter

import httpx
import numpy as np
import pytest
from PIL import Image

from likeness.provenance import DIGITAL_SOURCE_TYPE
from likeness.vault import verify_receipt
from tests.http.conftest import AVATARS, Finished, People
from tests.http.talk import problem, stored
from tests.serving import Server

FIVE = ["comic", "sketch", "neon", "watercolour", "oil"]


def test_an_upload_is_accepted_and_followed_to_its_end(server: Server, person: People, jpegs: list[bytes]) -> None:
    ann = person()
    response = ann.upload(jpegs, fields={"seed": "7"})
    assert response.status_code == 202
    view = response.json()
    location = response.headers["Location"]
    assert location == f"/v1/generations/{view['id']}"
    assert view["status"] in ("queued", "rendering")
    assert (view["seed"], view["styles"]) == (7, FIVE)
    assert (view["progress"], len(view["avatars"])) == ({"drawn": 0, "of": AVATARS}, AVATARS)
    assert view["eta_s"] > 0
    events = []
    for event in ann.events(location):
        events.append(event)
        if event.kind == "avatar":
            assert ann.get(event.data["url"]).status_code == 200
    check_events(view["id"], events)
    after = ann.json(location)
    assert (after["status"], after["reason"], after["eta_s"], after["position"]) == ("done", None, None, None)
    assert {avatar["state"] for avatar in after["avatars"]} == {"ready"}
    assert after["created_at"] <= after["started_at"] <= after["ended_at"]
    assert after["ended_at"] == after["deadlines"]["photos"] <= after["deadlines"]["photos_deleted_at"]
    assert after["deadlines"]["avatars_deleted_at"] is None
    assert not [name for name in stored(server) if name.startswith(f"photos/{view['id']}")]


def check_events(generation: str, events: list) -> None:  # type: ignore[type-arg]
    assert [event.number for event in events] == list(range(1, len(events) + 1))
    assert all(event.data["generation"] == generation for event in events)
    kinds = [event.kind for event in events]
    assert kinds[0] == "queued"
    assert kinds[-2:] == ["done", "photos_deleted"]
    assert Counter(kinds)["avatar"] == AVATARS
    progress = [event.data for event in events if event.kind == "progress"]
    assert progress[-1] == {"generation": generation, "drawn": AVATARS, "of": AVATARS}
    assert {event.data["index"] for event in events if event.kind == "avatar"} == set(range(AVATARS))


def test_the_list_has_it_and_only_its_users_see_it(finished: Finished, person: People) -> None:
    listed = finished.ann.json("/v1/generations")
    assert [(each["id"], each["status"], each["url"]) for each in listed["items"]] == [
        (finished.generation, "done", finished.location)
    ]
    assert listed["next"] is None
    assert person().json("/v1/generations") == {"items": [], "next": None}


def marked(data: bytes) -> bool:
    with Image.open(io.BytesIO(data)) as picture:
        picture.load()
        found = picture.info.get("xmp") or picture.info.get("XML:com.adobe.xmp", "").encode()
        return f'DigitalSourceType="{DIGITAL_SOURCE_TYPE}"'.encode() in found


@pytest.mark.parametrize("media_type", ["image/webp", "image/png", "image/jpeg", "image/avif"])
@pytest.mark.parametrize("size", ["64", "128", "256", "full", None])
@pytest.mark.parametrize("where", ["generation", "gallery", "public"])
def test_an_image_in_every_format_and_size_is_marked(
    finished: Finished, where: str, size: str | None, media_type: str
) -> None:
    urls = {
        "generation": f"{finished.location}/avatars/2",
        "gallery": f"/v1/gallery/{finished.avatar}/image",
        "public": finished.picture_url,
    }
    parameters = {"size": size} if size else {}
    response = finished.ann.get(urls[where], params=parameters, headers={"Accept": media_type})
    assert response.status_code == 200
    assert response.headers["Content-Type"] == media_type
    assert marked(response.content)
    with Image.open(io.BytesIO(response.content)) as picture:
        assert picture.format == media_type.removeprefix("image/").upper()
        assert picture.size == ((256, 256) if size in ("full", None) else (int(size), int(size)))
        assert np.asarray(picture.convert("RGB")).std() > 10


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("", "image/webp"),
        ("*/*", "image/webp"),
        ("image/*", "image/webp"),
        ("image/png, image/webp;q=0.5", "image/png"),
        ("image/png;q=0.5, image/webp", "image/webp"),
        ("image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8", "image/webp"),
        ("image/webp;q=0, image/*", "image/png"),
        ("*/*;q=0.1, IMAGE/PNG", "image/png"),
        ("image/png;q=nonsense, image/webp", "image/webp"),
        ("image/png, image/webp", "image/webp"),
        ("image/jpeg", "image/jpeg"),
        ("image/avif", "image/avif"),
        ("image/jpeg;Q=1, image/webp;Q=0.9", "image/jpeg"),
        ("image/webp ; q=0.2 , image/jpeg ; q=0.3", "image/jpeg"),
        ("image/*;q=0.1, image/avif;q=0.09", "image/webp"),
        ("image/webp;q=nan, image/png;q=2, image/jpeg;q=1.000", "image/jpeg"),
        ("image/gif, image/*;q=0.5", "image/webp"),
        ("text/html", "image/webp"),
        ("text/html, image/webp;q=0", "image/png"),
        ("text/html, image/jpeg;q=0.5", "image/jpeg"),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8", "image/webp"),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "image/webp"),
        ("image/avif,image/webp,image/png,image/svg+xml,image/*;q=0.8,*/*;q=0.5", "image/webp"),
    ],
)
def test_the_format_is_what_the_client_prefers(finished: Finished, accept: str, expected: str) -> None:
    response = finished.ann.get(f"{finished.location}/avatars/0?size=64", headers={"Accept": accept})
    assert (response.status_code, response.headers["Content-Type"]) == (200, expected)
    assert response.headers["Vary"] == "Accept"


@pytest.mark.parametrize(
    "accept", ["image/gif", "text/plain", "image/webp;q=0", "*/*;Q=0", "text/html;q=0", "nonsense"]
)
def test_no_other_format_is_offered(finished: Finished, accept: str) -> None:
    for url in (f"{finished.location}/avatars/0", f"/v1/gallery/{finished.avatar}/image", finished.picture_url):
        problem(finished.ann.get(url, headers={"Accept": accept}), 406, "not_acceptable")


def test_images_of_users_are_kept_by_nobody_on_the_way(finished: Finished) -> None:
    for url in (f"{finished.location}/avatars/0", f"/v1/gallery/{finished.avatar}/image", finished.location):
        assert finished.ann.get(url).headers["Cache-Control"] == "private, no-store"


def test_what_is_discarded_is_gone_and_what_never_was_is_not_there(finished: Finished) -> None:
    problem(finished.ann.get(f"{finished.location}/avatars/4"), 410, "expired")
    for index in (AVATARS, 99999999999999999999, -1):
        problem(finished.ann.get(f"{finished.location}/avatars/{index}"), 404, "not_found")


def test_the_receipt_says_what_was_deleted_and_verifies(finished: Finished, server: Server) -> None:
    keys = httpx.get(f"{server.client.base_url}/v1/receipts/keys").json()
    answer = finished.ann.json(f"{finished.location}/receipt")
    receipt = verify_receipt(answer["jws"], keys)
    assert answer["generation"] == receipt.generation == finished.generation
    deleted = {deletion.what: deletion for deletion in receipt.deletions}
    assert set(deleted) == {"originals", "photos", "discarded avatars"}
    assert [len(deleted[what].objects) for what in ("originals", "photos", "discarded avatars")] == [3, 3, 1]
    assert all(len(digest) == 64 for deletion in receipt.deletions for digest in deletion.objects)
    assert deleted["photos"].key
