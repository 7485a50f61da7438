"""What is kept and shown: saving, discarding, the gallery, the profile picture, stories, trends."""

from __future__ import annotations

import datetime
import io
import zipfile
from collections.abc import Iterator
from typing import Any

import pytest
from PIL import Image

from tests.http.conftest import Finished, People
from tests.http.talk import Person, problem, stored
from tests.serving import Server


@pytest.fixture(scope="module")
def bob(server: Server, jpegs: list[bytes]) -> Iterator[tuple[Person, str]]:
    """Somebody whose generation has ended, and its address; each test saves what it needs and clears up."""
    bob = Person(server)
    with bob.client:
        yield bob, bob.done(jpegs)


def save(bob: Person, location: str, avatars: Any) -> list[str]:
    return [item["avatar"] for item in bob.send("POST", f"{location}/save", {"avatars": avatars})["items"]]


def test_saving_twice_keeps_one_and_discarding_leaves_what_is_saved(
    server: Server, person: People, jpegs: list[bytes]
) -> None:
    ann = person()
    location = ann.done(jpegs)
    items = ann.send("POST", f"{location}/save", {"avatars": [3, 1, 3]})["items"]
    assert [item["index"] for item in items] == [3, 1]
    before = stored(server)
    assert ann.send("POST", f"{location}/save", {"avatars": [3, 1]})["items"] == items
    assert stored(server) == before
    assert ann.send("POST", f"{location}/save", {"avatars": []}) == {"items": [], "next": None}
    assert ann.send("POST", f"{location}/discard", {"avatars": "all"}) == {"items": [0, 2, 4]}
    assert ann.send("POST", f"{location}/discard", {"avatars": [0]}) == {"items": []}
    states = [(each["state"], each["url"] is None) for each in ann.json(location)["avatars"]]
    assert states == [("discarded", True), ("saved", False)] * 2 + [("discarded", True)]
    for index in range(5):
        assert ann.get(f"{location}/avatars/{index}").status_code == (200 if index in (1, 3) else 410)
    problem(ann.client.post(f"{location}/save", json={"avatars": [1, 0]}), 410, "expired")
    problem(ann.client.post(f"{location}/save", json={"avatars": [5]}), 404, "not_found")
    assert ann.send("POST", f"{location}/save", {"avatars": "all"})["items"] == sorted(items, key=lambda i: i["index"])
    assert {item["avatar"] for item in ann.json("/v1/gallery")["items"]} == {item["avatar"] for item in items}
    check_gallery(ann, [item["avatar"] for item in items])


def check_gallery(ann: Person, avatars: list[str]) -> None:
    """Page by page, with images; and all of them in the archive."""
    pages, cursor = [], None
    while True:
        page = ann.json("/v1/gallery", params={"limit": 1, **({"cursor": cursor} if cursor else {})})
        pages.append(page["items"])
        if (cursor := page["next"]) is None:
            break
    assert [len(page) for page in pages] == [1] * len(avatars)
    items = [item for page in pages for item in page]
    assert items == ann.json("/v1/gallery")["items"]
    assert {item["avatar"] for item in items} == set(avatars)
    assert items == sorted(items, key=lambda item: item["saved_at"], reverse=True)
    archive = ann.get("/v1/gallery/export")
    assert archive.headers["Content-Type"] == "application/zip"
    assert "avatars.zip" in archive.headers["Content-Disposition"]
    with zipfile.ZipFile(io.BytesIO(archive.content)) as files:
        assert files.testzip() is None
        contents = {files.read(name) for name in files.namelist()}
    assert contents == {ann.get(item["url"]).content for item in items}


def test_the_profile_picture_keeps_its_public_url(bob: tuple[Person, str]) -> None:
    ann, location = bob
    problem(ann.get("/v1/profile/picture"), 404, "not_found")
    first, second = save(ann, location, [0, 1])
    picture = ann.send("PUT", "/v1/profile/picture", {"avatar": first})
    assert ann.json("/v1/profile/picture") == picture
    assert picture["avatar"] == first
    shown = ann.get(picture["url"])
    assert shown.content == ann.get(f"/v1/gallery/{first}/image").content
    assert shown.headers["Cache-Control"] == "public, no-cache"
    changed = ann.send("PUT", "/v1/profile/picture", {"avatar": second})
    assert (changed["url"], changed["avatar"]) == (picture["url"], second)
    after = ann.get(picture["url"], headers={"If-None-Match": shown.headers["ETag"]})
    assert after.status_code == 200
    assert after.headers["ETag"] != shown.headers["ETag"]
    assert after.content == ann.get(f"/v1/gallery/{second}/image").content
    ann.send("DELETE", "/v1/profile/picture", status=204)
    for url in ("/v1/profile/picture", picture["url"]):
        problem(ann.get(url), 404, "not_found")
    problem(ann.client.delete("/v1/profile/picture"), 404, "not_found")
    assert ann.send("PUT", "/v1/profile/picture", {"avatar": second})["url"] != picture["url"]
    ann.send("DELETE", "/v1/profile/picture", status=204)


@pytest.mark.parametrize("condition", ["{tag}", "W/{tag}", '"other", {tag}', "*"])
def test_an_unchanged_picture_is_not_sent_again(finished: Finished, condition: str) -> None:
    for query in ("", "?size=64"):
        shown = finished.ann.get(finished.picture_url + query)
        again = finished.ann.get(
            finished.picture_url + query, headers={"If-None-Match": condition.format(tag=shown.headers["ETag"])}
        )
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["ETag"] == shown.headers["ETag"]
        assert again.headers["Vary"] == "Accept"
    other = finished.ann.get(finished.picture_url, headers={"Accept": "image/png"})
    assert other.headers["ETag"] != finished.ann.get(finished.picture_url).headers["ETag"]


def test_a_list_of_tags_may_come_as_several_headers(finished: Finished) -> None:
    tag = finished.ann.get(finished.picture_url).headers["ETag"]
    headers = [("If-None-Match", '"other"'), ("If-None-Match", tag)]
    assert finished.ann.get(finished.picture_url, headers=headers).status_code == 304


@pytest.mark.parametrize(
    ("accepted", "media_type"),
    [
        (["text/plain", "image/png"], "image/png"),
        (["image/webp;q=0.5", "image/jpeg"], "image/jpeg"),
        (["", "application/json", "image/avif"], "image/avif"),
    ],
)
def test_what_is_accepted_may_come_as_several_headers(finished: Finished, accepted: list[str], media_type: str) -> None:
    headers = [("Accept", each) for each in accepted]
    assert finished.ann.get(finished.picture_url, headers=headers).headers["Content-Type"] == media_type


def test_a_story_is_listed_seen_and_taken_back(bob: tuple[Person, str]) -> None:
    ann, location = bob
    [avatar] = save(ann, location, [0])
    captions = ["", "Ünïcode 😀 'quoted' <b>", "x" * 500]
    posted = [ann.send("POST", "/v1/stories", {"avatar": avatar, "caption": each}, 201) for each in captions]
    assert [story["caption"] for story in posted] == captions
    until, since = (datetime.datetime.fromisoformat(posted[0][name]) for name in ("until", "posted_at"))
    assert until - since == datetime.timedelta(days=1)
    assert ann.json("/v1/stories")["items"] == posted[::-1]
    assert [len(ann.json("/v1/stories", params={"limit": count})["items"]) for count in (1, 2, 100)] == [1, 2, 3]
    assert len({story["url"] for story in posted}) == 3
    assert ann.get(posted[0]["url"]).status_code == 200
    ann.send("DELETE", f"/v1/stories/{posted[0]['id']}", status=204)
    problem(ann.get(posted[0]["url"]), 404, "not_found")
    problem(ann.client.delete(f"/v1/stories/{posted[0]['id']}"), 404, "not_found")
    assert ann.json("/v1/stories")["items"] == posted[:0:-1]
    problem(ann.client.post("/v1/stories", json={"avatar": avatar, "caption": "x" * 501}), 400, "bad_request")
    for story in posted[1:]:
        ann.send("DELETE", f"/v1/stories/{story['id']}", status=204)


def test_deleting_a_saved_avatar_revokes_what_shows_it(bob: tuple[Person, str], server: Server) -> None:
    ann, location = bob
    first, second = save(ann, location, [2, 3])
    urls = [ann.send("PUT", "/v1/profile/picture", {"avatar": first})["url"]]
    urls += [ann.send("POST", "/v1/stories", {"avatar": first}, 201)["url"] for _ in range(2)]
    kept = ann.send("POST", "/v1/stories", {"avatar": second}, 201)
    assert {ann.get(url).status_code for url in urls} == {200}
    ann.send("DELETE", f"/v1/gallery/{first}", status=204)
    for url in (*urls, f"/v1/gallery/{first}/image", "/v1/profile/picture"):
        problem(ann.get(url), 404, "not_found")
    problem(ann.client.delete(f"/v1/gallery/{first}"), 404, "not_found")
    assert ann.json("/v1/stories")["items"] == [kept]
    assert ann.get(kept["url"]).status_code == 200
    assert not [name for name in stored(server) if first in name]


def counts(server: Server, style: str) -> dict[str, dict[str, int]]:
    [found] = [each for each in server.client.get("/v1/styles").json()["items"] if each["name"] == style]
    return dict(found["trend"])


def test_what_is_chosen_saved_and_published_is_counted(server: Server, person: People, jpegs: list[bytes]) -> None:
    ann = person()
    before = counts(server, "sketch")
    location = ann.done(jpegs, fields={"styles": ["sketch", "neon"]})
    avatars = ann.json(location)["avatars"]
    assert {avatar["style"] for avatar in avatars} == {"sketch", "neon"}
    sketched = [avatar["index"] for avatar in avatars if avatar["style"] == "sketch"]
    saved = save(ann, location, sketched)
    save(ann, location, sketched)
    for _ in range(2):
        ann.send("PUT", "/v1/profile/picture", {"avatar": saved[0]})
    ann.send("POST", "/v1/stories", {"avatar": saved[0]}, 201)
    after = counts(server, "sketch")
    for span in ("day", "week", "all"):
        grown = {name: after[span][name] - before[span][name] for name in after[span]}
        assert grown == {"chosen": 1, "saved": len(sketched), "published": 2}
    items = server.client.get("/v1/styles").json()["items"]
    weighed = [each["trend"]["week"] for each in items]
    scores = [each["chosen"] + 2 * each["saved"] + 3 * each["published"] for each in weighed]
    assert scores == sorted(scores, reverse=True)


def test_a_style_has_a_preview(server: Server) -> None:
    for style in server.client.get("/v1/styles").json()["items"]:
        assert len(style["looks"]) >= 10
        if style["preview_url"]:
            preview = server.client.get(style["preview_url"])
            assert preview.headers["Content-Type"] == "image/webp"
            with Image.open(io.BytesIO(preview.content)) as picture:
                assert picture.format == "WEBP"
    problem(server.client.get("/v1/styles/nothing/preview"), 404, "not_found")
