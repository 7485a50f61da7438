"""Claims, fences and attempts: who may write what of a generation, and how it ends."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest

from likeness.database import Database
from likeness.records import events, generations, queue, quota, work, workers
from likeness.records.work import Claim, DeadWorkerError, Drawn, LostClaimError
from tests.records.conftest import SETTINGS

Make = Callable[..., str]


def drawn(*indexes: int, state: str = "ready") -> list[Drawn]:
    return [Drawn(i, "comic", f"look{i}", state, f"avatars/g/{i}", "00") for i in indexes]  # type: ignore[arg-type]


def claim(database: Database, generation: str, worker: str) -> Claim:
    found = database.write(work.claim, generation, worker, SETTINGS)
    assert found is not None
    return found


def kinds(database: Database, generation: str) -> Counter[str]:
    return Counter(event.kind for event in database.read(events.events_after, generation, 0))


def state(database: Database, generation: str) -> str:
    found = database.read(generations.get, generation)
    assert found is not None
    return found.state


def test_a_stale_worker_writes_nothing(database: Database, new_generation: Make, worker: str) -> None:
    first = claim(database, new_generation("g"), worker)
    second = claim(database, "g", worker)
    for write in (
        lambda: database.write(work.begin, first),
        lambda: database.write(work.store, first, drawn(0)),
        lambda: database.write(work.hand_back, first),
        lambda: database.write(work.finish, first, SETTINGS),
    ):
        with pytest.raises(LostClaimError):
            write()
    assert kinds(database, "g") == {"queued": 1}
    assert database.read(work.still_claimed, [("g", first.fence), ("g", second.fence)]) == {"g"}
    assert database.read(work.still_claimed, [("g", first.fence)]) == set()


def test_a_worker_that_was_declared_dead_claims_nothing(database: Database, new_generation: Make, worker: str) -> None:
    database.write(workers.end, worker)
    with pytest.raises(DeadWorkerError):
        database.write(work.claim, new_generation("g"), worker, SETTINGS)


def test_what_was_stored_is_not_pending_for_the_next(database: Database, new_generation: Make, worker: str) -> None:
    first = claim(database, new_generation("g"), worker)
    database.write(work.store, first, drawn(1, 3))
    second = claim(database, "g", worker)
    assert second.pending == {0, 2, 4}
    # An avatar that came twice, for whatever reason, is one avatar and one event.
    database.write(work.store, second, drawn(1, 0))
    assert kinds(database, "g")["avatar"] == 3


@pytest.mark.parametrize(("kept", "end"), [(5, "done"), (4, "done"), (3, "failed")])
def test_done_takes_four_fifths(database: Database, new_generation: Make, worker: str, kept: int, end: str) -> None:
    held = claim(database, new_generation("g"), worker)
    database.write(work.store, held, drawn(*range(kept)))
    database.write(work.store, held, drawn(*range(kept, 5), state="failed"))
    database.write(work.finish, held, SETTINGS)
    assert state(database, "g") == end
    assert kinds(database, "g")[end] == 1
    left = database.read(quota.left_today, "anna", 1)
    assert left.remaining == (1 if end == "failed" else 0)


def test_the_attempt_after_the_last_ends_it(database: Database, new_generation: Make, worker: str) -> None:
    new_generation("g")
    for _ in range(SETTINGS.attempts):
        database.write(work.begin, claim(database, "g", worker))
    assert database.write(work.claim, "g", worker, SETTINGS) is None
    assert state(database, "g") == "failed"


def test_an_attempt_that_came_to_something_does_not_count(
    database: Database, new_generation: Make, worker: str
) -> None:
    new_generation("g")
    for index in range(5):
        held = claim(database, "g", worker)
        database.write(work.begin, held)
        if index < 3:
            database.write(work.store, held, drawn(index))
    assert database.write(work.claim, "g", worker, SETTINGS) is None
    assert state(database, "g") == "failed"


def test_avatars_that_the_store_loses_are_drawn_again_so_often_and_no_more(
    database: Database, new_generation: Make, worker: str
) -> None:
    new_generation("g")
    for _ in range(SETTINGS.attempts):
        held = claim(database, "g", worker)
        assert held.pending == {0, 1, 2, 3, 4}
        database.write(work.begin, held)
        database.write(work.store, held, drawn(0, 1))
        database.write(work.take_back, held, ["avatars/g/0", "avatars/g/1"])
    assert database.write(work.claim, "g", worker, SETTINGS) is None
    assert state(database, "g") == "failed"


def test_one_that_is_given_up_with_enough_avatars_is_done(
    database: Database, new_generation: Make, worker: str
) -> None:
    database.write(work.store, claim(database, new_generation("g"), worker), drawn(0, 1, 2, 3))
    for _ in range(SETTINGS.attempts):
        database.write(work.begin, claim(database, "g", worker))
    assert database.write(work.claim, "g", worker, SETTINGS) is None
    assert state(database, "g") == "done"


def test_a_hand_back_is_no_attempt(database: Database, new_generation: Make, worker: str) -> None:
    new_generation("g")
    for _ in range(3 * SETTINGS.attempts):
        held = claim(database, "g", worker)
        database.write(work.begin, held)
        database.write(work.hand_back, held)
    assert state(database, "g") == "rendering"


def test_cancelled_takes_the_claim(database: Database, new_generation: Make, worker: str) -> None:
    held = claim(database, new_generation("g"), worker)
    database.write(generations.cancel, "g", SETTINGS)
    assert database.read(work.still_claimed, [("g", held.fence)]) == set()
    with pytest.raises(LostClaimError):
        database.write(work.store, held, drawn(0))
    assert kinds(database, "g") == {"queued": 1, "cancelled": 1}


def test_one_refund_a_day(database: Database, new_generation: Make) -> None:
    for name in ("first", "second"):
        database.write(generations.cancel, new_generation(name), SETTINGS)
    assert database.read(quota.left_today, "anna", 2).remaining == 1


def test_no_refund_after_the_first_avatar(database: Database, new_generation: Make, worker: str) -> None:
    database.write(work.store, claim(database, new_generation("g"), worker), drawn(0))
    database.write(generations.cancel, "g", SETTINGS)
    assert database.read(quota.left_today, "anna", 1).remaining == 0


def test_lite_waits_for_plus_and_no_longer(database: Database, new_generation: Make) -> None:
    lite = database.read(generations.get, new_generation("lite"))
    plus = database.read(generations.get, new_generation("plus", owner="ben", tier="plus"))
    assert lite is not None
    assert plus is not None
    assert database.read(queue.ahead_of, lite) == 1
    assert database.read(queue.ahead_of, plus) == 0
    assert lite.goes_at - lite.created_at == queue.LITE_WAITS_S


def test_a_users_second_goes_behind_others_first(database: Database, new_generation: Make) -> None:
    def found(name: str) -> generations.Generation:
        generation = database.read(generations.get, name)
        assert generation is not None
        return generation

    for name in ("greedy 1", "greedy 2", "greedy 3"):
        new_generation(name, owner="greedy", tier="plus")
    new_generation("modest", owner="modest", tier="plus")
    ahead = {name: database.read(queue.ahead_of, found(name)) for name in ("greedy 1", "greedy 2", "modest")}
    assert ahead == {"greedy 1": 0, "modest": 1, "greedy 2": 2}
    assert found("greedy 3").goes_at - found("greedy 2").goes_at == queue.APART_S


def test_an_eta_counts_what_goes_first_by_what_the_workers_measured(
    database: Database, new_generation: Make, worker: str
) -> None:
    def eta(name: str) -> float:
        found = database.read(generations.get, name)
        assert found is not None
        seconds = database.read(queue.eta_s, found, SETTINGS)
        assert seconds is not None
        return seconds

    database.write(workers.beat, worker, {"avatar_s": 2.0})
    new_generation("first", owner="a", tier="plus")
    new_generation("second", owner="b", tier="plus")
    assert (eta("first"), eta("second")) == (10.0, 20.0)  # five avatars each
    held = claim(database, "first", worker)
    database.write(work.begin, held)
    database.write(work.store, held, drawn(0, 1))
    assert (eta("first"), eta("second")) == (6.0, 16.0)
    database.write(workers.register, "worker-2", "there", is_dead=lambda _: False)
    database.write(workers.beat, "worker-2", {"avatar_s": 2.0})
    assert (eta("first"), eta("second")) == (6.0, 8.0)
    assert database.read(queue.estimate, SETTINGS).wait_s == 8.0


def test_death_is_for_good_and_told_more_than_once(database: Database, worker: str) -> None:
    assert database.write(workers.beat, worker, {}) is True
    assert database.write(workers.bury, 3600.0) == 0
    assert database.read(workers.living) == {worker}
    assert database.write(workers.bury, -1.0) == 1
    assert database.write(workers.beat, worker, {}) is False
    assert database.read(workers.living) == set()


def test_the_holder_of_the_lock_buries_the_earlier_ones(database: Database, worker: str) -> None:
    database.write(workers.register, "elsewhere", "there", is_dead=lambda _: True)
    database.write(workers.register, "worker-2", "here", is_dead=lambda _: True)
    assert database.read(workers.living) == {"elsewhere", "worker-2"}
