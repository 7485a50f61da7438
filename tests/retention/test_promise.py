"""The audit finds everything that is late or should not be there, one sentence each, and nothing else."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from likeness.cli.audit import add_audit
from likeness.database import clock, tables
from likeness.errors import SettingsError
from likeness.records import audit, deadlines, keys
from likeness.records.generations import NewKey
from likeness.retention.promise import Finding, check_promise, span
from likeness.retention.reconcile import reconcile
from likeness.safe import Safe
from likeness.settings import Settings
from likeness.vault import ObjectEntry, StorageError
from tests.retention.conftest import World
from tests.s3 import S3Server

NOBODY = "0123456789abcdef01234567"


def found(safe: Safe) -> list[Finding]:
    return check_promise(safe, days=7).findings


def overdue(world: World, kind: str, subject: str, late_s: float) -> str:
    """Make a deadline late."""

    def write(connection: sa.Connection) -> None:
        deadlines.set_deadline(connection, kind, subject, clock(connection) - late_s)  # type: ignore[arg-type]

    world.safe.database.write(write)
    return subject


def past(world: World, what: str, late_s: float, tier: str = "lite") -> str:
    """A generation whose key should have gone with its deadline."""
    generation = world.generation(tier=tier)
    row = sa.update(tables.generations).where(tables.generations.c.id == generation)
    world.execute(row.values({f"{what}_until": world.safe.now() - late_s}))
    return generation


def stray(world: World, subject: str, purpose: str) -> str:
    world.safe.database.write(keys.add, subject, NewKey(purpose, "kept", b"wrapped"))  # type: ignore[arg-type]
    return "" if purpose == "gallery" else subject


def old_epoch(world: World) -> str:
    return world.safe.new_key("x", "photo", world.safe.now() - 7200)[1].epoch


def lost(world: World, saved: bool) -> str:
    generation = world.generation()
    name = world.avatar(generation, 0)
    if saved:
        name = f"gallery/{world.saved(generation, 0)}/0"
    world.safe.objects.delete(name)
    return name


def noted(world: World, late_s: float, tier: str = "lite") -> str:
    """A deletion that the audit has as late."""
    generation = world.generation(tier=tier)
    due_at = world.safe.now() - late_s
    world.safe.database.write(audit.note, "photos", generation, due_at=due_at, objects=3)
    return generation


Provoke = Callable[[World], str]
# What is done, the kind that is found, and what its sentence says.
LATE: dict[str, tuple[Provoke, str, str]] = {
    "photos": (lambda world: overdue(world, "photos", world.generation(), 90), "deadline", "the photos of"),
    "plus photos": (
        lambda world: overdue(world, "photos", world.generation(tier="plus"), 10),
        "deadline",
        "late, and not done. See that a server runs",
    ),
    "avatars": (lambda world: overdue(world, "avatars", world.generation(), 90), "deadline", "the unsaved avatars of"),
    "upload": (lambda world: overdue(world, "upload", NOBODY, 90), "deadline", f"the upload {NOBODY} is 90 seconds"),
    "account": (lambda world: overdue(world, "account", "ben", 90) and "", "deadline", "The deletion of an account is"),
    "photo key": (lambda world: past(world, "photos", 90), "key", "can still be opened, 90 seconds after"),
    "plus photo key": (lambda world: past(world, "photos", 10, "plus"), "key", "The photos of"),
    "avatar key": (lambda world: past(world, "avatars", 90), "key", "The avatars of"),
    "stray key": (lambda world: stray(world, NOBODY, "avatar"), "stray_key", f"avatar key of {NOBODY} belongs to"),
    "stray gallery key": (lambda world: stray(world, "ben", "gallery"), "stray_key", "stored gallery key belongs to"),
    "epoch": (old_epoch, "epoch", "when its hour was over"),
    "orphan": (lambda world: world.put(f"photos/{NOBODY}/0"), "orphan", "no row accounts for it"),
    "lost": (lambda world: lost(world, saved=False), "lost", "which is not stored"),
    "lost copy": (lambda world: lost(world, saved=True), "lost", "which is not stored"),
    "late": (lambda world: noted(world, 90), "late", "is done, but was 90 seconds late. Look for"),
    "plus late": (lambda world: noted(world, 10, "plus"), "late", "is done, but was 10 seconds late"),
}
IN_TIME: dict[str, Provoke] = {
    "photos": lambda world: overdue(world, "photos", world.generation(), 30),
    "plus photos": lambda world: overdue(world, "photos", world.generation(tier="plus"), -20),
    "plus avatars": lambda world: overdue(world, "avatars", world.generation(tier="plus"), 30),
    "photo key": lambda world: past(world, "photos", 30),
    "avatar key": lambda world: past(world, "avatars", 30, "plus"),
    "late": lambda world: noted(world, 30),
}


@pytest.mark.usefixtures("later")
def test_nothing_is_found_where_all_is_well(world: World, safe: Safe) -> None:
    world.everything()
    world.put("holiday.jpg")
    promise = check_promise(safe, days=7)
    assert promise.findings == []
    assert promise.foreign == 1
    assert all(check.late == 0 and check.worst_s == 0 for check in promise.checks)
    looked_at = {check.what: check.looked_at for check in promise.checks}
    assert looked_at.pop("epoch keys") in (2, 3)  # three, where an hour went by between the two generations
    assert looked_at.pop("objects") >= 19
    assert looked_at == {
        "open deadlines": 9,
        "stored keys": 5,
        "object store": 1,
        "objects that rows name": 5,
        "deletions of 7 days": 0,
    }


@pytest.mark.usefixtures("later")
@pytest.mark.parametrize("what", LATE)
def test_what_is_late_is_found_once(world: World, safe: Safe, what: str) -> None:
    world.everything()
    provoke, kind, says = LATE[what]
    subject = provoke(world)
    [finding] = found(safe)
    assert (finding.kind, finding.subject) == (kind, subject)
    assert says in finding.sentence
    assert "ben" not in finding.sentence
    [check] = [check for check in check_promise(safe, days=7).checks if check.late]
    assert (check.late, check.worst_s) == (1, pytest.approx(finding.late_s, abs=30))


@pytest.mark.usefixtures("later")
@pytest.mark.parametrize("what", IN_TIME)
def test_a_little_late_is_in_time(world: World, safe: Safe, what: str) -> None:
    IN_TIME[what](world)
    assert found(safe) == []


def test_what_was_just_stored_may_be_without_row(world: World, safe: Safe) -> None:
    world.put(f"photos/{NOBODY}/0")
    assert found(safe) == []


@pytest.mark.usefixtures("later")
def test_what_just_ended_may_have_lost_objects_until_the_reconciler_comes(world: World, safe: Safe) -> None:
    generation = world.generation(ended_s=60)
    safe.objects.delete(world.avatar(generation, 0))
    assert found(safe) == []


@pytest.mark.usefixtures("later")
def test_the_reconciler_puts_right_what_is_found(world: World, safe: Safe, settings: Settings) -> None:
    world.orphans()
    for what in ("orphan", "lost", "lost copy", "stray key", "stray gallery key"):
        LATE[what][0](world)
    assert len(found(safe)) == 20
    reconcile(safe, settings)
    assert found(safe) == []


def test_late_deletions_are_found_for_so_many_days(world: World, safe: Safe) -> None:
    noted(world, 90)
    assert [each.kind for each in check_promise(safe, days=1).findings] == ["late"]
    assert check_promise(safe, days=1e-9).findings == []


def test_a_store_that_cannot_be_used_is_one_finding(world: World, safe: Safe, monkeypatch: pytest.MonkeyPatch) -> None:
    world.everything()

    def entries(prefix: str = "") -> Iterator[ObjectEntry]:
        raise StorageError("Could not list the objects.")

    monkeypatch.setattr(safe.objects, "entries", entries)
    [finding] = found(safe)
    assert (finding.kind, finding.sentence) == ("store", "Could not list the objects.")


def test_a_bucket_that_keeps_versions_is_found(settings: Settings, request: pytest.FixtureRequest) -> None:
    if not settings.objects:
        pytest.skip("folders keep no versions")
    server: S3Server = request.getfixturevalue("s3")
    arguments = parse(["audit", "retention"], settings, objects=server.bucket(versioned=True))
    assert arguments.run(arguments) == 1


def parse(call: list[str], settings: Settings, objects: str | None = None) -> argparse.Namespace:
    """A call of the command line."""
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers()

    def settings_of(_: argparse.Namespace) -> Settings:
        return Settings(data=settings.data, database=settings.database, keys=settings.keys, objects=objects or "")

    add_audit(commands, settings_of if objects else lambda _: settings)
    return parser.parse_args(call)


@pytest.mark.parametrize("as_json", [False, True])
def test_the_command_ends_with_0_or_1(
    world: World, settings: Settings, capsys: pytest.CaptureFixture[str], as_json: bool
) -> None:
    arguments = parse(["audit", "retention", *(["--json"] if as_json else [])], settings)
    assert arguments.run(arguments) == 0
    said = capsys.readouterr().out
    assert json.loads(said)["findings"] == [] if as_json else said.endswith("nothing is there that should be gone.\n")
    generation = noted(world, 300)
    assert arguments.run(arguments) == 1
    said = capsys.readouterr().out
    if as_json:
        assert [each["subject"] for each in json.loads(said)["findings"]] == [generation]
    else:
        assert f"The deletion of the photos of {generation} is done, but was 5 minutes late." in said
        assert "deletions of 7 days" in said


def test_the_command_prints_all_deletions(world: World, settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    generation = noted(world, 3)
    world.safe.database.write(audit.note, "epoch", "hour-1")
    arguments = parse(["audit", "deletions"], settings)
    assert arguments.run(arguments) == 0
    heading, photos, epoch = capsys.readouterr().out.splitlines()
    assert heading.split() == ["at", "kind", "what", "objects", "due", "late"]
    assert [photos.split()[1:4], photos.split()[5:]] == [["photos", generation, "3"], ["+3.0", "s"]]
    assert epoch.split()[1:] == ["epoch", "hour-1", "0"]
    arguments = parse(["audit", "deletions", "--json", "--days", "0.5"], settings)
    assert arguments.run(arguments) == 0
    assert [entry["kind"] for entry in json.loads(capsys.readouterr().out)] == ["photos", "epoch"]


def test_an_audit_makes_no_database(tmp_path: Path) -> None:
    arguments = parse(["audit", "retention"], Settings(data=tmp_path / "nowhere"))
    with pytest.raises(SettingsError, match=r"There is no database .*nowhere/likeness.db\. Give the server's settings"):
        arguments.run(arguments)
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize("days", ["0", "-1", "soon", "nan"])
def test_days_are_a_number(days: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse(["audit", "retention", f"--days={days}"], Settings())
    assert f"'{days}' is not a number of days, such as 7 or 0.5" in capsys.readouterr().err


def test_durations_are_said_as_people_say_them() -> None:
    assert [span(each) for each in (7, 119, 120, 7199, 7200, 200_000)] == [
        "7 seconds",
        "119 seconds",
        "2 minutes",
        "120 minutes",
        "2 hours",
        "2 days",
    ]
