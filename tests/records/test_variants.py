"""Variants are entered only while their avatar and its key are there, once, and leave nothing behind otherwise."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa

from likeness import variants as making
from likeness.database import Database, tables
from likeness.provenance import PNG, WEBP, Marker, open_marker, read_provenance
from likeness.records import deadlines, gallery, generations, keys, variants
from likeness.records.gallery import Saved
from likeness.refusals import GoneError
from likeness.retention import erase_account, erase_avatars, erase_discarded, erase_object, sweep
from likeness.safe import Place, Safe
from likeness.settings import Settings
from likeness.variants import Original, open_variant
from likeness.vault import Keyring, ReceiptSigner, TamperedError, open_key_store, open_objects

SETTINGS = Settings()


@pytest.fixture(scope="module")
def marker() -> Marker:
    return open_marker("", "", None)


@pytest.fixture
def safe(database: Database, tmp_path: Path) -> Safe:
    store = open_key_store(str(tmp_path / "keys"))
    return Safe(database, open_objects(str(tmp_path / "objects")), Keyring(store), ReceiptSigner(store))


@pytest.fixture
def avatar(safe: Safe, new_generation: Callable[..., str], marker: Marker) -> Original:
    """A generation's avatar 0, ready."""
    new_generation("g")
    key, wrapped = safe.new_key("g", "avatar", None)
    safe.database.write(lambda connection: (keys.take(connection, "g", "avatar"), keys.add(connection, "g", wrapped)))
    noise = np.random.default_rng(0).integers(0, 256, (256, 256, 3), np.uint8)
    name, digest = safe.put(Place("g", 0, "avatar"), key, marker.mark(noise), "avatars/g/0-1")
    ready = sa.update(tables.avatars).where(tables.avatars.c.generation == "g", tables.avatars.c.index == 0)
    safe.database.write(lambda connection: connection.execute(ready.values(state="ready", object=name, digest=digest)))
    return making.of_generation("g", 0, name)


@pytest.fixture
def saved(safe: Safe, avatar: Original) -> Original:
    """The same, in Anna's gallery."""
    data = making.open_original(safe, avatar)
    name, digest = safe.put(Place("a", 0, "gallery"), safe.gallery_key("anna"), data)
    entry = Saved("a", "anna", "g", 0, "comic", "look0", name, digest, 0.0)
    safe.database.write(deadlines.expect, name, 60.0)
    assert safe.database.write(gallery.save, [entry]) == {0: "a"}
    return making.of_gallery(entry)


def names(safe: Safe) -> list[str]:
    return sorted(safe.objects.names())


def waiting(safe: Safe) -> list[str]:
    """Objects that are due unless a row comes to name them."""
    table = tables.deadlines
    chosen = sa.select(table.c.subject).where(table.c.kind == "object", table.c.done_at.is_(None))
    return safe.database.read(lambda connection: list(connection.execute(chosen).scalars()))


def test_a_variant_is_kept_and_bound_to_its_place(safe: Safe, marker: Marker, avatar: Original) -> None:
    made = open_variant(safe, marker, avatar, "64", PNG)
    assert made == open_variant(safe, marker, avatar, "64", PNG)
    assert len(read_provenance(made).parents) == 1
    [name] = set(names(safe)) - {avatar.object}
    assert waiting(safe) == []
    key = safe.key("g", "avatar")
    assert safe.get(avatar.place("64.png"), key, name) == made
    for other in (avatar.place(), avatar.place("128.png"), Place("g", 1, "avatar", "64.png")):
        with pytest.raises(TamperedError):
            safe.get(other, key, name)
    assert len(name) <= 64  # the width of a deadline's subject


def test_names_fit_a_deadline() -> None:
    for purpose in ("avatar", "gallery"):
        name = Place("f" * 24, 299, purpose, "full.webp").name  # type: ignore[arg-type]
        assert len(f"{name}-12345678") <= 64


def test_what_changes_nothing_is_no_variant(safe: Safe, marker: Marker, avatar: Original) -> None:
    stored = making.open_original(safe, avatar)
    assert open_variant(safe, marker, avatar, "256", WEBP) == stored
    assert open_variant(safe, marker, avatar, "full", WEBP) == stored
    assert names(safe) == [avatar.object]


def slip_in(monkeypatch: pytest.MonkeyPatch, do: Callable[[], Any]) -> None:
    """Do something after a variant's object is stored and before its row is."""
    put = Safe.put

    def slipping(self: Safe, place: Place, key: bytes, data: bytes, name: str | None = None) -> tuple[str, str]:
        stored = put(self, place, key, data, name)
        if place.variant:
            monkeypatch.undo()
            do()
        return stored

    monkeypatch.setattr(Safe, "put", slipping)


def test_the_second_of_two_is_dropped(
    safe: Safe, marker: Marker, avatar: Original, monkeypatch: pytest.MonkeyPatch
) -> None:
    first: list[bytes] = []
    slip_in(monkeypatch, lambda: first.append(open_variant(safe, marker, avatar, "64", WEBP)))
    assert open_variant(safe, marker, avatar, "64", WEBP) == first[0]
    assert len(names(safe)) == 2
    assert waiting(safe) == []


def discard(safe: Safe) -> None:
    found = safe.database.read(generations.get, "g")
    assert found is not None
    gone = safe.database.write(generations.discard, found, [0])
    erase_discarded(safe, "g", "anna", gone)


def forget_saved(safe: Safe) -> None:
    for name in safe.database.write(gallery.delete, safe.database.read(gallery.get, "a", "anna")):
        erase_object(safe, name)


@pytest.mark.parametrize("how", ["expired", "discarded", "account"])
def test_none_is_kept_of_what_goes_meanwhile(
    safe: Safe, marker: Marker, avatar: Original, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    ways = {
        "expired": lambda: erase_avatars(safe, "g", SETTINGS),
        "discarded": lambda: discard(safe),
        "account": lambda: erase_account(safe, "anna", SETTINGS),
    }
    open_variant(safe, marker, avatar, "128", WEBP)
    slip_in(monkeypatch, ways[how])
    with pytest.raises(GoneError):
        open_variant(safe, marker, avatar, "64", WEBP)
    assert (names(safe), waiting(safe)) == ([], [])
    assert safe.database.read(variants.of_generation, "g") == []


def test_none_is_entered_once_the_key_is_gone(
    safe: Safe, marker: Marker, avatar: Original, monkeypatch: pytest.MonkeyPatch
) -> None:
    slip_in(monkeypatch, lambda: safe.database.write(keys.take, "g", "avatar"))
    with pytest.raises(GoneError):
        open_variant(safe, marker, avatar, "64", WEBP)
    assert (names(safe), waiting(safe)) == ([avatar.object], [])


@pytest.mark.parametrize("how", ["deleted", "account"])
def test_none_is_kept_of_a_saved_one_that_goes_meanwhile(
    safe: Safe, marker: Marker, saved: Original, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    open_variant(safe, marker, saved, "128", WEBP)
    assert len(safe.database.read(variants.of_owner, "anna")) == 1
    if how == "deleted":
        slip_in(monkeypatch, lambda: forget_saved(safe))
    else:
        slip_in(monkeypatch, lambda: erase_account(safe, "anna", SETTINGS))
    with pytest.raises(GoneError):
        open_variant(safe, marker, saved, "64", WEBP)
    assert [name for name in names(safe) if name.startswith("gallery")] == []
    assert waiting(safe) == []
    assert safe.database.read(variants.find, "gallery", "a", 0, "128.webp") is None


class KilledError(BaseException):
    pass


def die() -> None:
    raise KilledError


def test_what_a_killed_process_left_is_swept(
    safe: Safe, marker: Marker, saved: Original, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = names(safe)
    slip_in(monkeypatch, die)
    with pytest.raises(KilledError):
        open_variant(safe, marker, saved, "64", WEBP)
    [left] = set(names(safe)) - set(before)
    assert waiting(safe) == [left]
    safe.database.write(deadlines.hasten, "object")
    assert sweep(safe, SETTINGS) == 1
    assert names(safe) == before


def test_a_deletion_that_dies_is_finished_by_the_sweeper(safe: Safe, marker: Marker, saved: Original) -> None:
    for size in ("64", "128"):
        open_variant(safe, marker, saved, size, PNG)  # type: ignore[arg-type]
    safe.database.write(gallery.delete, safe.database.read(gallery.get, "a", "anna"))
    assert len([name for name in names(safe) if name.startswith("gallery")]) == 3
    assert sweep(safe, SETTINGS) == 3
    assert [name for name in names(safe) if name.startswith("gallery")] == []
