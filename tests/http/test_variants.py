"""Every size and format, wherever it is got: signed once with its avatar as the parent, kept, and gone with it."""

from __future__ import annotations

import io
import zipfile
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from typing import Any

import pytest

from likeness.provenance import Provenance, read_provenance
from likeness.vault import verify_receipt
from tests.http.conftest import Finished, People
from tests.http.talk import Person, problem, stored
from tests.serving import Server

TYPES = ["image/webp", "image/png", "image/jpeg", "image/avif"]
SIZES = ["64", "128", "256", "full"]
KINDS = list(product(SIZES, TYPES))
# An avatar of the miniature is 256 pixels wide: these are the stored one itself.
STORED = [("256", "image/webp"), ("full", "image/webp")]
KEPT = 1 + len(KINDS) - len(STORED)


def image(ann: Person, url: str, size: str, media_type: str) -> bytes:
    response = ann.get(url, params={"size": size}, headers={"Accept": media_type})
    assert response.status_code == 200, response.text
    return response.content


def provenance(picture: bytes) -> Provenance:
    found = read_provenance(picture)
    assert (found.by_model, found.signature) == (True, "untrusted")
    assert found.origin is not None
    return found


@pytest.mark.parametrize(("size", "media_type"), KINDS)
@pytest.mark.parametrize("where", ["generation", "gallery", "picture", "story"])
def test_what_leaves_the_house_is_signed(finished: Finished, where: str, size: str, media_type: str) -> None:
    url = {
        "generation": f"{finished.location}/avatars/2",
        "gallery": f"/v1/gallery/{finished.avatar}/image",
        "picture": finished.picture_url,
        "story": finished.story_url,
    }[where]
    found = provenance(image(finished.ann, url, size, media_type))
    assert found.origin is not None
    original = provenance(image(finished.ann, url, "full", "image/webp")).origin
    if (size, media_type) in STORED:
        assert (found.origin, found.parents) == (original, [])
        assert found.origin.actions == ["c2pa.created"]
    else:
        assert found.parents == [original]
        changed = ["c2pa.resized"] * (size in ("64", "128")) + ["c2pa.transcoded"] * (media_type != "image/webp")
        assert found.origin.actions == ["c2pa.opened", *changed]


def test_the_archive_has_the_signed_ones(finished: Finished) -> None:
    with zipfile.ZipFile(io.BytesIO(finished.ann.get("/v1/gallery/export").content)) as files:
        assert files.namelist()
        for name in files.namelist():
            assert provenance(files.read(name)).parents == []


def test_nothing_in_a_picture_is_about_the_user(finished: Finished) -> None:
    secrets = [finished.generation, finished.avatar, finished.ann.subject, finished.ann.token, finished.story]
    secrets += [finished.picture_url.rsplit("/", 1)[1], "social.example", "photo"]
    for size, media_type in KINDS:
        for url in (finished.picture_url, f"{finished.location}/avatars/0"):
            picture = image(finished.ann, url, size, media_type)
            assert not [each for each in secrets if each.encode() in picture]


def objects(server: Server, part: str) -> list[str]:
    return [name for name in stored(server) if part in name]


def test_a_variant_is_made_once(server: Server, person: People, jpegs: list[bytes]) -> None:
    ann = person()
    location = ann.done(jpegs)
    [item] = ann.send("POST", f"{location}/save", {"avatars": [0]})["items"]
    url = ann.send("PUT", "/v1/profile/picture", {"avatar": item["avatar"]})["url"]
    for size, media_type in KINDS:
        first, second = (ann.get(url, params={"size": size}, headers={"Accept": media_type}) for _ in range(2))
        assert first.content == second.content == image(ann, f"/v1/gallery/{item['avatar']}/image", size, media_type)
        assert first.headers["ETag"] == second.headers["ETag"]
    assert len(objects(server, item["avatar"])) == KEPT


def test_of_two_at_once_one_is_kept(server: Server, person: People, jpegs: list[bytes]) -> None:
    ann = person()
    location = ann.done(jpegs)
    generation = location.rsplit("/", 1)[1]
    before = objects(server, generation)
    with ThreadPoolExecutor(8) as threads:
        got = list(threads.map(lambda _: image(ann, f"{location}/avatars/1", "64", "image/png"), range(16)))
    assert len(set(got)) == 1
    [added] = set(objects(server, generation)) - set(before)
    assert added.startswith(f"avatars/{generation}/1-64.png-")


def view_all(ann: Person, url: str) -> None:
    for size, media_type in KINDS:
        image(ann, url, size, media_type)


def deletions(server: Server, answer: dict[str, Any]) -> dict[str, int]:
    """How many objects of each kind a receipt names."""
    keys = dict(server.client.get("/v1/receipts/keys").json())
    return {each.what: len(each.objects) for each in verify_receipt(answer["jws"], keys).deletions}


def test_variants_go_with_what_is_discarded(server: Server, person: People, jpegs: list[bytes]) -> None:
    ann = person()
    location = ann.done(jpegs)
    generation = location.rsplit("/", 1)[1]
    for index in (0, 1):
        view_all(ann, f"{location}/avatars/{index}")
    ann.send("POST", f"{location}/discard", {"avatars": [0]})
    assert not objects(server, f"{generation}/0-")
    assert len(objects(server, f"{generation}/1-")) == KEPT
    problem(ann.get(f"{location}/avatars/0?size=64"), 410, "expired")
    assert deletions(server, ann.json(f"{location}/receipt"))["discarded avatars"] == KEPT
    ann.send("DELETE", location)
    assert not objects(server, generation)
    problem(ann.get(f"{location}/avatars/1?size=64"), 410, "expired")
    assert deletions(server, ann.json(f"{location}/receipt"))["avatars"] == 4 + KEPT - 1


def test_variants_go_with_what_was_saved(server: Server, person: People, jpegs: list[bytes]) -> None:
    ann = person()
    location = ann.done(jpegs)
    first, second = (each["avatar"] for each in ann.send("POST", f"{location}/save", {"avatars": [0, 1]})["items"])
    for avatar in (first, second):
        view_all(ann, f"/v1/gallery/{avatar}/image")
        assert len(objects(server, avatar)) == KEPT
    ann.send("DELETE", location)  # the generation's own are gone, the gallery's are not
    view_all(ann, f"/v1/gallery/{first}/image")
    ann.send("DELETE", f"/v1/gallery/{first}", status=204)
    assert not objects(server, first)
    problem(ann.get(f"/v1/gallery/{first}/image?size=64"), 404, "not_found")
    assert deletions(server, ann.send("DELETE", "/v1/account"))["gallery"] == KEPT
    assert not objects(server, second)
