"""Many at the same moment, each in a transaction of its own: no two get the same, and nothing gets lost."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from likeness.database import Database, UnavailableError
from likeness.records import deadlines, events, gallery, generations, quota, work, workers
from likeness.records.work import DeadWorkerError, Drawn
from likeness.refusals import ConflictError, QuotaError, UploadRunningError
from tests.patience import patience_s
from tests.records.conftest import SETTINGS

Make = Callable[..., str]
MANY = 8


def together(*jobs: Callable[[], Any]) -> list[Any]:
    """Run all at once; answers what each returned or raised."""
    barrier = threading.Barrier(len(jobs))

    def run(job: Callable[[], Any]) -> Any:
        barrier.wait(patience_s())
        try:
            return job()
        except Exception as error:
            return error

    with ThreadPoolExecutor(len(jobs)) as pool:
        return list(pool.map(run, jobs))


def test_one_of_many_reservations(database: Database) -> None:
    found = together(*[lambda: database.write(quota.reserve, "anna", 1, 60.0)] * MANY)
    assert sum(isinstance(each, quota.Slot) for each in found) == 1
    assert sum(isinstance(each, UploadRunningError | QuotaError) for each in found) == MANY - 1


def test_every_claim_has_a_fence_of_its_own(database: Database, new_generation: Make) -> None:
    new_generation("g")
    names = [f"worker-{number}" for number in range(MANY)]
    for name in names:
        database.write(workers.register, name, name, is_dead=lambda _: False)
    claims = together(*[lambda name=name: database.write(work.claim, "g", name, SETTINGS) for name in names])
    fences = sorted(each.fence for each in claims)
    assert fences == list(range(1, MANY + 1))
    last = max(claims, key=lambda each: each.fence)
    held = database.read(generations.get, "g")
    assert held is not None
    assert held.fence == last.fence
    assert held.worker == names[claims.index(last)]


def test_a_worker_claims_before_its_death_or_not_at_all(database: Database, new_generation: Make) -> None:
    """Or its claim would take the generation from whom its job was handed to."""
    for number in range(MANY):
        name, generation = f"worker-{number}", new_generation(f"g{number}")
        database.write(workers.register, name, name, is_dead=lambda _: False)
        claim, _ = together(
            lambda name=name, of=generation: database.write(work.claim, of, name, SETTINGS),
            lambda name=name: database.write(workers.end, name),
        )
        assert isinstance(claim, DeadWorkerError) or claim.fence == 1
        with pytest.raises(DeadWorkerError):
            database.write(work.claim, generation, name, SETTINGS)


def test_events_are_numbered_without_gaps(database: Database, new_generation: Make, worker: str) -> None:
    claim = database.write(work.claim, new_generation("g"), worker, SETTINGS)
    assert claim is not None
    drawn = [Drawn(i, "comic", f"look{i}", "ready", f"avatars/g/{i}", "00") for i in range(5)]
    together(*[lambda each=each: database.write(work.store, claim, [each]) for each in drawn])
    found = database.read(events.events_after, "g", 0)
    assert [event.number for event in found] == list(range(1, len(found) + 1))
    progress = [event.data for event in found if event.kind == "progress"]
    assert [f'"drawn":{number}' in text for number, text in enumerate(progress, 1)] == [True] * 5


def test_a_generation_ends_once_and_is_refunded_once(database: Database, new_generation: Make) -> None:
    new_generation("g")
    together(*[lambda: database.write(generations.cancel, "g", SETTINGS)] * MANY)
    kinds = [event.kind for event in database.read(events.events_after, "g", 0)]
    assert kinds == ["queued", "cancelled"]
    assert database.read(quota.left_today, "anna", 1).remaining == 1


def test_no_two_sweepers_take_the_same(database: Database) -> None:
    for number in range(40):
        database.write(deadlines.set_deadline, "object", str(number), 0.0)
    found = together(*[lambda: database.write(deadlines.take_due, 60.0, limit=10)] * MANY)
    taken = [due.subject for each in found for due in each]
    assert len(taken) == len(set(taken))
    rest = database.write(deadlines.take_due, 60.0, limit=40)
    assert len(taken) + len(rest) == 40


def test_two_first_profile_pictures_are_one(database: Database, new_generation: Make, worker: str) -> None:
    claim = database.write(work.claim, new_generation("g"), worker, SETTINGS)
    assert claim is not None
    database.write(work.store, claim, [Drawn(0, "comic", "look0", "ready", "avatars/g/0", "00")])
    saved = gallery.Saved("a", "anna", "g", 0, "comic", "look0", "gallery/a/0", "00", 0.0)
    database.write(deadlines.expect, saved.object, 60.0)
    database.write(gallery.save, [saved])
    tokens = [f"token-{number}" for number in range(MANY)]
    found = together(
        *[lambda token=token: database.write(gallery.set_picture, "a", "anna", token=token) for token in tokens]
    )
    assert len({picture.token for picture in found}) == 1


def test_two_that_wait_for_each_other_both_get_through(database: Database) -> None:
    for subject in "ab":
        database.write(deadlines.set_deadline, "object", subject, 0.0)
    meet = threading.Barrier(2)

    def both(first: str, second: str) -> Callable[[], None]:
        tries = []

        def write(connection: Any) -> None:
            deadlines.set_deadline(connection, "object", first, -1.0)
            if not tries and not database.is_sqlite:  # which lets one in at a time
                tries.append(first)
                meet.wait(patience_s())
            deadlines.set_deadline(connection, "object", second, -1.0)

        return lambda: database.write(write)

    assert together(both("a", "b"), both("b", "a")) == [None, None]


def test_a_database_that_is_gone_says_so(database: Database) -> None:
    def gone(connection: Any) -> None:
        if database.is_sqlite:
            connection.exec_driver_sql("PRAGMA busy_timeout=1")
        database.write(lambda other: other.exec_driver_sql("SELECT 1"))

    if database.is_sqlite:  # the write lock is held by the outer transaction
        with pytest.raises(UnavailableError, match="does not answer"):
            database.write(lambda _: Database(f"{database.url}?timeout=0").write(gone))
        return
    nowhere = Database("postgresql+psycopg://nobody@127.0.0.1:1/nothing")
    with pytest.raises(UnavailableError, match="does not answer") as caught:
        nowhere.read(lambda connection: connection.exec_driver_sql("SELECT 1"))
    assert "127.0.0.1" not in str(caught.value)


def test_refusals_of_our_own_pass_through(database: Database) -> None:
    def refuse(_connection: Any) -> None:
        raise ConflictError("no")

    with pytest.raises(ConflictError):
        database.write(refuse)
