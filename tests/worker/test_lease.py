"""Leases: who is declared dead, by whom, and who must not."""

from __future__ import annotations

from pathlib import Path

import pytest

from likeness.database import Database, UnavailableError
from likeness.records import workers
from likeness.worker import lease as lease_module
from likeness.worker.lease import Lease, WorkerError
from likeness.worker.loop import Stats

LEASE_S = 30.0


class Clock:
    """The observer's own clock, moved by the test."""

    now = 1000.0

    def monotonic(self) -> float:
        return self.now


class Only:
    """A safe with nothing but a database."""

    def __init__(self, database: Database) -> None:
        self.database = database


@pytest.fixture
def database(tmp_path: Path) -> Database:
    database = Database(f"sqlite:///{tmp_path / 'likeness.db'}")
    database.migrate()
    for name in ("observer", "other"):
        database.write(workers.register, name, "here", is_dead=lambda _: False)
    return database


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(lease_module, "time", clock)
    return clock


@pytest.fixture
def lease(database: Database) -> Lease:
    return Lease(Only(database), "observer", LEASE_S)  # type: ignore[arg-type]


def silence(database: Database, worker: str, for_s: float) -> None:
    table = workers._table
    database.write(
        lambda connection: connection.execute(
            table.update().where(table.c.id == worker).values(beat_at=table.c.beat_at - for_s)
        )
    )


def beat(lease: Lease, clock: Clock, seconds: float) -> None:
    """Beat for so long, as a worker does."""
    end = clock.now + seconds
    while clock.now < end:
        lease.beat(Stats())
        clock.now += lease.every_s
    lease.beat(Stats())
    lease.bury_silent()


def test_an_observer_that_has_just_come_declares_nobody_dead(database: Database, lease: Lease, clock: Clock) -> None:
    silence(database, "other", 3600.0)
    beat(lease, clock, LEASE_S - 2 * lease.every_s)
    assert database.read(workers.living) == {"observer", "other"}
    beat(lease, clock, 3 * lease.every_s)
    assert database.read(workers.living) == {"observer"}


def test_one_that_was_cut_off_itself_waits_for_the_others(
    database: Database, lease: Lease, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    beat(lease, clock, 2 * LEASE_S)

    def gone(*_: object) -> None:
        raise UnavailableError

    with monkeypatch.context() as patch:
        patch.setattr(database, "write", gone)
        with pytest.raises(UnavailableError):
            lease.beat(Stats())
    clock.now += 60.0
    silence(database, "other", 60.0)
    beat(lease, clock, 0.0)
    assert database.read(workers.living) == {"observer", "other"}
    silence(database, "other", 60.0)
    beat(lease, clock, LEASE_S + lease.every_s)
    assert database.read(workers.living) == {"observer"}


def test_one_that_stood_still_waits_too(database: Database, lease: Lease, clock: Clock) -> None:
    beat(lease, clock, 2 * LEASE_S)
    clock.now += LEASE_S
    silence(database, "other", 3600.0)
    beat(lease, clock, 0.0)
    assert database.read(workers.living) == {"observer", "other"}


def test_the_dead_are_told(database: Database, lease: Lease, clock: Clock) -> None:
    beat(lease, clock, 0.0)
    database.write(workers.end, "observer")
    with pytest.raises(WorkerError, match="declared dead"):
        lease.beat(Stats())
