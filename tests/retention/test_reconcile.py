"""Store and rows agree, both ways, whatever a crash or the store itself has done; what is in use stays."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa

from likeness.database import tables
from likeness.records import chores, gallery, keys
from likeness.records.generations import NewKey
from likeness.records.stored import Stored, parse
from likeness.refusals import NotFoundError
from likeness.retention import reconcile as module
from likeness.retention.reconcile import Reconciled, Walk, reconcile
from likeness.safe import Safe
from likeness.settings import Settings
from likeness.vault import StorageError
from tests.retention.conftest import World

pytestmark = pytest.mark.usefixtures("later")


@pytest.fixture(autouse=True)
def _at_any_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "EVERY_S", 0.0)


def state(world: World, generation: str, index: int) -> tuple[str, str | None]:
    table = tables.avatars
    which = table.c.generation == generation, table.c.index == index
    chosen = sa.select(table.c.state, table.c.object).where(*which)
    return tuple(world.safe.database.read(lambda connection: connection.execute(chosen).one()))


def test_what_is_in_use_stays(world: World, safe: Safe, settings: Settings) -> None:
    world.everything()
    before = world.names()
    done = reconcile(safe, settings)
    assert (done.orphans, done.lost) == (0, 0)
    assert done.looked_at >= len(before) == 18
    assert world.names() == before
    assert world.audited("object") == world.audited("lost") == []


def test_every_kind_of_orphan_goes_and_is_in_the_audit(world: World, safe: Safe, settings: Settings) -> None:
    world.everything()
    orphans = world.orphans()
    rest = world.names() - orphans
    assert reconcile(safe, settings).orphans == len(orphans) == 15
    assert world.names() == rest
    assert world.audited("object") == sorted(orphans)
    assert reconcile(safe, settings).orphans == 0


def test_what_was_just_stored_is_left_alone(
    world: World, safe: Safe, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    orphans = world.orphans()
    now = safe.objects.clock()
    monkeypatch.setattr(safe.objects, "clock", lambda: now - 3600 + module.ORPHAN_S - 60)
    assert reconcile(safe, settings).orphans == 0
    assert orphans < world.names()


def test_names_that_are_not_ours_are_left_alone(world: World, safe: Safe, settings: Settings) -> None:
    ours = "0123456789abcdef01234567"
    foreign = {
        "holiday.jpg",
        "photos/holiday/1",
        f"photos/{ours}/1.jpg",
        f"backup/{ours}/0",
        f"uploads/{ours}/0-0/1",
        "check-this",
    }
    for name in foreign:
        world.put(name)
        assert parse(name) is None
    assert reconcile(safe, settings).orphans == 0
    assert foreign == world.names()
    walk = Walk(safe, 0.0)
    assert list(walk.orphans()) == []
    assert walk.foreign == len(foreign)


def test_a_name_says_what_it_is() -> None:
    subject = "0123456789abcdef01234567"
    assert parse(f"avatars/{subject}/7-64.webp-0123abcd") == Stored(
        f"avatars/{subject}/7-64.webp-0123abcd", 0.0, "avatars", subject, "64.webp-0123abcd"
    )
    assert parse(f"uploads/{subject}/7-12", 5.0) == Stored(f"uploads/{subject}/7-12", 5.0, "uploads", subject, "12")


def test_what_gets_its_row_meanwhile_stays(
    world: World, safe: Safe, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    generation = world.generation()
    name = world.put(f"avatars/{generation}/0-3")
    walked = Walk.orphans

    def orphans(walk: Walk) -> Iterator[list[Stored]]:
        for batch in walked(walk):
            assert [each.name for each in batch] == [name]
            world.avatar(generation, 0)
            yield batch

    monkeypatch.setattr(Walk, "orphans", orphans)
    assert reconcile(safe, settings).orphans == 0
    assert name in world.names()
    assert world.audited("object") == []


def test_an_avatar_that_the_store_lost_has_failed(world: World, safe: Safe, settings: Settings) -> None:
    generation = world.everything()
    name = f"avatars/{generation}/0-3"
    [variant] = [each for each in world.names() if each.startswith(f"avatars/{generation}/0-64")]
    safe.objects.delete(name)
    assert reconcile(safe, settings).lost == 1
    assert state(world, generation, 0) == ("failed", None)
    assert world.audited("lost") == [name]
    assert variant in world.names()
    due = sa.select(tables.deadlines.c.subject).where(tables.deadlines.c.subject == variant)
    assert safe.database.read(lambda connection: connection.execute(due).scalar()) == variant
    assert reconcile(safe, settings).lost == 0


def test_a_saved_avatar_keeps_its_copy(world: World, safe: Safe, settings: Settings) -> None:
    generation = world.everything()
    safe.objects.delete(f"avatars/{generation}/1-3")
    assert reconcile(safe, settings).lost == 1
    assert state(world, generation, 1) == ("saved", None)
    assert len(safe.database.read(gallery.everything, "anna")) == 1


def test_a_lost_copy_in_the_gallery_goes_with_what_shows_it(world: World, safe: Safe, settings: Settings) -> None:
    generation = world.generation()
    world.avatar(generation, 0)
    avatar = world.saved(generation, 0)
    safe.database.write(gallery.set_picture, avatar, "anna", token="shown")
    safe.database.write(gallery.post_story, avatar, "anna", story="s", token="told", caption="", lives_s=60.0)
    safe.objects.delete(f"gallery/{avatar}/0")
    assert reconcile(safe, settings).lost == 1
    assert world.audited("lost") == [f"gallery/{avatar}/0"]
    for token in ("shown", "told"):
        with pytest.raises(NotFoundError):
            safe.database.read(gallery.published, token)
    assert safe.database.read(gallery.everything, "anna") == []


@pytest.mark.parametrize("purpose", ["avatar", "gallery"])
def test_a_lost_variant_is_forgotten_and_its_avatar_stays(
    world: World, safe: Safe, settings: Settings, purpose: str
) -> None:
    generation = world.generation()
    world.avatar(generation, 0)
    subject = generation if purpose == "avatar" else world.saved(generation, 0)
    name = world.variant(purpose, subject, 0)  # type: ignore[arg-type]
    before = world.names() - {name}
    safe.objects.delete(name)
    assert reconcile(safe, settings).lost == 1
    assert world.audited("lost") == [name]
    assert world.names() == before
    assert reconcile(safe, settings).lost == 0


def test_what_is_being_erased_or_drawn_is_not_lost(world: World, safe: Safe, settings: Settings) -> None:
    drawn, erased, owners = world.generation("rendering"), world.generation(), world.generation(owner="ben")
    names = [world.avatar(drawn, 0), world.avatar(erased, 0), world.avatar(owners, 0)]
    names.append(f"gallery/{world.saved(owners, 0, 'ben')}/0")
    safe.objects.delete_many(names[:2] + names[3:])
    for subject, purpose in ((erased, "avatar"), ("ben", "gallery")):
        safe.database.write(keys.take, subject, purpose)  # the first step of deleting
    assert reconcile(safe, settings).lost == 0
    assert state(world, drawn, 0) == ("ready", names[0])
    assert state(world, erased, 0) == ("ready", names[1])
    assert len(safe.database.read(gallery.everything, "ben")) == 1


def test_another_store_is_no_loss(
    world: World, safe: Safe, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    generation = world.everything()
    monkeypatch.setattr(module, "LOST_MOST", 1)
    safe.objects.delete_many(sorted(world.names()))
    with pytest.raises(StorageError, match="another store, or an empty one"):
        reconcile(safe, settings)
    assert state(world, generation, 0) == ("ready", f"avatars/{generation}/0-3")
    assert len(safe.database.read(gallery.everything, "anna")) == 1


def test_a_store_of_two_deployments_is_left_alone(world: World, safe: Safe, settings: Settings) -> None:
    if not settings.objects:
        pytest.skip("the store is in the data folder, which is nobody else's")
    orphans = world.orphans()
    safe.objects.put("deployment/fedcba9876543210", b"")
    with pytest.raises(StorageError, match="another deployment, deployment/fedcba9876543210"):
        reconcile(safe, settings)
    assert orphans < world.names()
    safe.objects.delete("deployment/fedcba9876543210")
    assert reconcile(safe, settings).orphans == len(orphans)
    assert len(list(safe.objects.names("deployment/"))) == 1
    assert reconcile(safe, settings).orphans == 0


def test_keys_that_open_nothing_go(world: World, safe: Safe, settings: Settings) -> None:
    world.everything()
    for subject, purpose in (("0123456789abcdef01234567", "photo"), ("ben", "gallery")):
        safe.database.write(keys.add, subject, NewKey(purpose, "kept", b"wrapped"))  # type: ignore[arg-type]
    reconcile(safe, settings)
    left = sa.select(tables.keys.c.subject, tables.keys.c.purpose)
    found = safe.database.read(lambda connection: connection.execute(left).all())
    assert sorted(purpose for _, purpose in found) == ["avatar", "avatar", "gallery", "photo", "photo"]
    assert {"ben", "0123456789abcdef01234567"}.isdisjoint(subject for subject, _ in found)


def test_one_process_of_the_fleet_at_a_time(
    world: World, safe: Safe, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "EVERY_S", 600.0)
    orphans = world.orphans()
    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(lambda _: reconcile(safe, settings), range(4)))
    assert sorted(each.orphans for each in done) == [0, 0, 0, len(orphans)]
    assert done.count(Reconciled(0, 0, 0)) == 3
    assert world.audited("object") == sorted(orphans)


def test_several_at_once_do_no_harm(
    world: World, safe: Safe, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chores, "take", lambda connection, name, for_s: True)
    generation = world.everything()
    safe.objects.delete(f"avatars/{generation}/0-3")
    kept = world.names()
    orphans = world.orphans()
    kept |= world.names() - orphans
    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(lambda _: reconcile(safe, settings), range(4)))
    assert sum(each.lost for each in done) == 1
    assert world.names() == kept
    audited = set(world.audited("object"))
    assert orphans <= audited
    assert all(name.startswith("clock-") for name in audited - orphans)  # another walker's, in this hurry
    assert len(world.audited("lost")) == 1


def test_a_store_of_many_objects_is_looked_through_in_pieces(world: World, safe: Safe, settings: Settings) -> None:
    done = world.generation()
    kept = {world.avatar(done, index) for index in range(5)}
    orphans = {world.put(f"avatars/{done}/{index}-1") for index in range(600)}
    assert reconcile(safe, settings).orphans == 600
    assert kept < world.names()
    assert orphans.isdisjoint(world.names())
