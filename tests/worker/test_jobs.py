"""The queue: in the caller's transaction, the most urgent first, and nothing lost with a worker."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from likeness.database import Database, tables
from likeness.settings import Settings
from likeness.worker import jobs
from likeness.worker.jobs import JobClient, JobRunner
from likeness.worker.loop import StoppingError
from tests.patience import patience_s


class Runners:
    """Starts runners one after the other: DBOS allows one a process at a time."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.drawn: queue.Queue[str] = queue.Queue()
        self._running: JobRunner | None = None

    def start(self, name: str, draw: Callable[[str], None] | None = None) -> JobRunner:
        self.stop()
        self._running = JobRunner(self.settings, name, draw or self.drawn.put)
        self._running.start()
        return self._running

    def stop(self) -> None:
        if self._running is not None:
            self._running.stop()
        self._running = None

    def take(self, count: int) -> list[str]:
        return [self.drawn.get(timeout=patience_s()) for _ in range(count)]


@pytest.fixture(params=["sqlite", "postgresql"])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    if request.param == "postgresql":
        return Settings(database=request.getfixturevalue("fleet_database"), generations_at_once=1)
    settings = Settings(data=tmp_path, generations_at_once=1)
    jobs.migrate(settings)
    return settings


@pytest.fixture
def database(settings: Settings) -> Iterator[Database]:
    database = Database(settings.database_url)
    database.migrate()
    yield database
    database.close()


@pytest.fixture
def bad(database: Database) -> str:
    """A generation's row, of which only the id matters here."""
    table = tables.generations
    text = dict.fromkeys(("owner", "tier", "consent", "quota_day"), "-") | {"styles": "[]", "state": "rendering"}
    zero = dict.fromkeys(("seed", "created_at", "photos_until", "avatars_until", "quota_slot"), 0)
    database.write(lambda connection: connection.execute(table.insert().values(id="bad", **text, **zero)))
    return "bad"


@pytest.fixture
def client(settings: Settings) -> Iterator[JobClient]:
    client = JobClient(settings)
    yield client
    client.close()


@pytest.fixture
def runners(settings: Settings) -> Iterator[Runners]:
    runners = Runners(settings)
    yield runners
    runners.stop()


def test_the_most_urgent_first(database: Database, client: JobClient, runners: Runners) -> None:
    for name, goes_at in (("lite", 1900.0), ("plus", 1010.0), ("early plus", 1000.0)):
        database.write(client.enqueue, name, goes_at)
    runners.start("worker-1")
    assert runners.take(3) == ["early plus", "plus", "lite"]


def test_a_transaction_that_is_undone_queues_nothing(database: Database, client: JobClient, runners: Runners) -> None:
    def undone(connection: object) -> None:
        client.enqueue(connection, "undone", 1.0)  # type: ignore[arg-type]
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        database.write(undone)
    database.write(client.enqueue, "kept", 2.0)
    runners.start("worker-1")
    assert runners.take(1) == ["kept"]


def test_what_a_dead_worker_left_is_handed_on(database: Database, client: JobClient, runners: Runners) -> None:
    begun = threading.Event()

    def leave(_generation: str) -> None:
        begun.set()
        raise StoppingError

    database.write(client.enqueue, "left", 1.0)
    runners.start("worker-1", leave)
    assert begun.wait(patience_s())
    assert database.read(jobs.holders) == {"worker-1"}
    second = runners.start("worker-2")
    second.hand_on(["worker-1"])
    second.hand_on(["worker-1"])  # twice is once
    assert runners.take(1) == ["left"]
    database.write(client.enqueue, "next", 2.0)
    assert runners.take(1) == ["next"]


def test_a_job_that_failed_is_known_to_have_ended(
    database: Database, client: JobClient, runners: Runners, bad: str
) -> None:
    def fail(generation: str) -> None:
        runners.drawn.put(generation)
        raise ValueError("nothing that anybody expected")

    database.write(client.enqueue, bad, 1.0)
    assert database.read(jobs.abandoned) == []
    runners.start("worker-1", fail)
    runners.take(1)
    ended = threading.Event()
    while not ended.is_set():
        if database.read(jobs.abandoned) == [bad]:
            ended.set()


def test_a_forgotten_generation_leaves_no_job(database: Database, client: JobClient, settings: Settings) -> None:
    def job_ids(connection: sa.Connection) -> list[str]:
        return list(connection.execute(sa.select(jobs._status(connection).c.workflow_uuid)).scalars())

    def known() -> bool:
        if not database.is_sqlite:
            return "5e1f00d5" in database.read(job_ids)
        database.forget_deleted()
        return b"5e1f00d5" in (settings.data / "likeness.db").read_bytes()

    database.write(client.enqueue, "5e1f00d5", 1.0)
    assert known()
    database.write(jobs.forget, "5e1f00d5")
    assert not known()
