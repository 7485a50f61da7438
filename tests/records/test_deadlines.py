"""Deadlines and what meets them: never postponed, met once, found whatever ended."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa

from likeness.database import Database, clock, tables
from likeness.records import deadlines, events, generations, receipts
from likeness.retention import erase_account, erase_avatars, erase_photos, sweep
from likeness.safe import Place, Safe
from likeness.settings import Settings
from likeness.vault import Keyring, ReceiptSigner, open_key_store, open_objects, verify_receipt

SETTINGS = Settings()
Make = Callable[..., str]


@pytest.fixture
def safe(database: Database, tmp_path: Path) -> Safe:
    keys = open_key_store(str(tmp_path / "keys"))
    return Safe(database, open_objects(str(tmp_path / "objects")), Keyring(keys), ReceiptSigner(keys))


def rows(connection: sa.Connection, table: sa.Table) -> str:
    return repr(connection.execute(sa.select(table)).all())


def kinds(safe: Safe, generation: str) -> list[str]:
    return [event.kind for event in safe.database.read(events.events_after, generation, 0)]


def test_a_deadline_only_comes_nearer(database: Database) -> None:
    now = database.read(clock)
    for due_at in (now + 100, now - 5, now + 50):
        database.write(deadlines.set_deadline, "photos", "g", due_at)
    [due] = database.write(deadlines.take_due, 60.0)
    assert due.due_at == now - 5
    assert database.write(deadlines.meet, "photos", "g") == due
    assert database.write(deadlines.meet, "photos", "g") is None
    database.write(deadlines.set_deadline, "photos", "g", now - 50)
    assert database.write(deadlines.take_due, 0.0) == []


def test_what_one_has_taken_comes_to_another_only_after_a_while(database: Database) -> None:
    for subject in "abc":
        database.write(deadlines.set_deadline, "photos", subject, 0.0)
    first = database.write(deadlines.take_due, 60.0, limit=2)
    second = database.write(deadlines.take_due, 0.0)
    assert sorted(due.subject for due in first + second) == ["a", "b", "c"]
    assert database.write(deadlines.take_due, 0.0) == second


def test_photos_past_their_deadline_end_the_generation(safe: Safe, new_generation: Make) -> None:
    new_generation("g", lives_s=0.0)
    safe.objects.put("photos/g/0", b"ciphertext")
    assert sweep(safe, SETTINGS) == 1
    found = safe.database.read(generations.get, "g")
    assert found is not None
    assert (found.state, found.reason) == ("failed", "too_late")
    assert kinds(safe, "g") == ["queued", "failed", "photos_deleted"]
    assert list(safe.objects.names("photos")) == []
    jws = safe.database.read(receipts.jws_of, "g")
    assert jws is not None
    [deletion] = verify_receipt(jws, safe.signer.keys()).deletions
    assert (deletion.what, len(deletion.objects)) == ("photos", 3)
    assert deletion.key


def test_two_sweepers_make_one_receipt_with_the_key(safe: Safe, new_generation: Make) -> None:
    new_generation("g", lives_s=0.0)
    threads = [threading.Thread(target=erase_photos, args=(safe, "g", SETTINGS)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert kinds(safe, "g").count("photos_deleted") == 1
    [deletion] = safe.database.read(receipts.deletions_of, "g")
    assert deletion.key


def test_an_interrupted_erasing_is_finished_by_the_next(
    safe: Safe, new_generation: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    new_generation("g", lives_s=0.0)
    monkeypatch.setattr(safe.database, "forget_deleted", lambda: False)
    assert sweep(safe, SETTINGS) == 0
    assert "photos_deleted" not in kinds(safe, "g")  # nothing is signed while the log may hold the key
    monkeypatch.undo()
    assert sweep(safe, SETTINGS) == 1
    [deletion] = safe.database.read(receipts.deletions_of, "g")
    assert deletion.key


def test_a_deadline_without_its_generation_ends_too(safe: Safe) -> None:
    now = safe.now()
    for kind in ("photos", "avatars", "upload", "object", "story", "account", "tombstone"):
        safe.database.write(deadlines.set_deadline, kind, "nobody", now - 1)  # type: ignore[arg-type]
    assert sweep(safe, SETTINGS) == 7
    assert safe.database.write(deadlines.take_due, 0.0) == []


def test_orphans_go_with_their_generation(safe: Safe, new_generation: Make) -> None:
    new_generation("g")
    safe.objects.put("avatars/g/3-9", b"of a worker that died between object and row")
    safe.database.write(generations.cancel, "g", SETTINGS)
    erase_avatars(safe, "g", SETTINGS)
    assert list(safe.objects.names("avatars")) == []


def test_an_account_leaves_nothing_but_the_receipt(safe: Safe, new_generation: Make, tmp_path: Path) -> None:
    new_generation("g", owner="anna")
    new_generation("other", owner="ben")
    key = safe.gallery_key("anna")
    safe.put(Place("a", 0, "gallery"), key, b"avatar")
    receipt = verify_receipt(erase_account(safe, "anna", SETTINGS), safe.signer.keys())
    assert receipt.generation == "account"
    assert [deletion.what for deletion in receipt.deletions] == ["photos"]
    assert safe.database.read(generations.get, "g") is None
    assert safe.database.read(generations.get, "other") is not None
    left = {table.name: safe.database.read(rows, table) for table in tables.metadata.sorted_tables}
    assert "wrapped" in left["keys"]  # ben's
    assert {name for name, text in left.items() if "anna" in text} <= {"quota", "refunds"}  # of this day
    if safe.database.is_sqlite:
        safe.database.forget_deleted()
        assert b"anna" not in (tmp_path / "likeness.db").read_bytes().replace(b"anna2026", b"")
