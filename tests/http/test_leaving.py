"""Deleting a generation, and the whole account."""

from __future__ import annotations

from likeness.vault import verify_receipt
from tests.http.conftest import People
from tests.http.talk import Person, problem, stored
from tests.serving import Server


def test_a_deleted_generation_ends_and_what_was_saved_stays(server: Server, person: People, jpegs: list[bytes]) -> None:
    ann = person()
    location = ann.done(jpegs)
    generation = location.rsplit("/", 1)[1]
    seen = ann.json(f"{location}")["progress"]
    [item] = ann.send("POST", f"{location}/save", {"avatars": [2]})["items"]
    last = [event.number for event in ann.events(location)][-1]
    view = ann.send("DELETE", location)
    assert ann.remaining() == 999  # it had an avatar: nothing is given back
    assert (view["status"], view["progress"]) == ("cancelled", seen)
    assert [avatar["state"] for avatar in view["avatars"]] == ["expired", "expired", "saved", "expired", "expired"]
    assert [(event.number, event.kind) for event in ann.events(location, last)] == [(last + 1, "cancelled")]
    for index in range(5):
        problem(ann.get(f"{location}/avatars/{index}"), 410, "expired")
    for action in ("save", "discard"):
        problem(ann.client.post(f"{location}/{action}", json={"avatars": "all"}), 410, "expired")
    assert ann.get(f"/v1/gallery/{item['avatar']}/image").status_code == 200
    assert ann.send("DELETE", location) == ann.json(location)
    receipt = verify_receipt(ann.json(f"{location}/receipt")["jws"], keys(server))
    assert [deletion.what for deletion in receipt.deletions] == ["originals", "photos", "avatars"]
    assert not [name for name in stored(server) if generation in name]


def test_a_generation_is_cancelled_while_it_waits_or_is_drawn(
    server: Server, person: People, jpegs: list[bytes]
) -> None:
    ann = person()
    location = ann.accepted(jpegs)
    assert ann.send("DELETE", location)["status"] == "cancelled"
    kinds = [event.kind for event in ann.events(location)]
    assert kinds[0] == "queued"
    assert kinds[-2:] == ["cancelled", "photos_deleted"]
    assert "done" not in kinds
    generation = location.rsplit("/", 1)[1]
    assert not [name for name in stored(server) if generation in name]
    assert [each["status"] for each in ann.json("/v1/generations")["items"]] == ["cancelled"]


def keys(server: Server) -> dict[str, object]:
    return dict(server.client.get("/v1/receipts/keys").json())


def test_nothing_is_left_of_a_deleted_account(server: Server, person: People, jpegs: list[bytes]) -> None:
    ann = person(tier="lite")
    location = ann.accepted(jpegs)
    assert [event.kind for event in head(ann, location)][-1] == "done"
    items = ann.send("POST", f"{location}/save", {"avatars": [0, 1]})["items"]
    picture = ann.send("PUT", "/v1/profile/picture", {"avatar": items[0]["avatar"]})
    story = ann.send("POST", "/v1/stories", {"avatar": items[1]["avatar"]}, 201)
    answer = ann.send("DELETE", "/v1/account")
    deleted = verify_receipt(answer["jws"], keys(server)).deletions
    assert [(each.what, len(each.objects)) for each in deleted] == [
        ("originals", 3),
        ("photos", 3),
        ("avatars", 5),
        ("gallery", 2),
    ]
    for url in ("/v1/generations", "/v1/gallery", "/v1/stories"):
        assert ann.json(url) == {"items": [], "next": None}
    for url in (
        location,
        f"{location}/events",
        f"{location}/receipt",
        f"{location}/avatars/0",
        f"/v1/gallery/{items[0]['avatar']}/image",
        "/v1/profile/picture",
    ):
        problem(ann.get(url), 404, "not_found")
    for url in (picture["url"], story["url"]):
        problem(ann.get(url), 404, "not_found")
    gone = [location.rsplit("/", 1)[1], *(item["avatar"] for item in items)]
    assert not [name for name in stored(server) if any(each in name for each in gone)]
    assert ann.remaining() == 0
    problem(ann.upload(jpegs), 429, "quota_exceeded")


def head(ann: Person, location: str) -> list:  # type: ignore[type-arg]
    """Events up to the end of drawing: a Lite user's stream goes on until the photos' deadline."""
    found = []
    for event in ann.events(location):
        found.append(event)
        if event.kind in ("done", "failed", "cancelled"):
            break
    return found


def test_leaving_while_it_is_drawn_and_with_nothing(server: Server, person: People, jpegs: list[bytes]) -> None:
    ann = person()
    location = ann.accepted(jpegs)
    ann.send("DELETE", "/v1/account")
    problem(ann.get(location), 404, "not_found")
    assert not [name for name in stored(server) if location.rsplit("/", 1)[1] in name]
    assert verify_receipt(ann.send("DELETE", "/v1/account")["jws"], keys(server)).deletions == []
