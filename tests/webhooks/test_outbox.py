"""The outbox on SQLite and on PostgreSQL: written with what it tells, taken once, tried for 72 hours."""

from __future__ import annotations

import datetime
import itertools
import threading
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa

from likeness.database import Database, clock, tables
from likeness.records import outbox
from likeness.records.outbox import Delivery
from likeness.settings import Settings

SETTINGS = Settings(webhook_url="https://receiver.test/hook")
HOUR_S = 3600.0
table = tables.webhooks


def tell(database: Database, *generations: str, kind: str = "generation.done", **data: object) -> None:
    for generation in generations:
        database.write(outbox.tell, SETTINGS, kind, generation, data)


def rows(database: Database) -> list[dict[str, Any]]:
    chosen = sa.select(table).order_by(table.c.created_at)
    return database.read(lambda connection: [dict(row) for row in connection.execute(chosen).mappings()])


def age(database: Database, seconds: float) -> None:
    """Let time pass for all rows."""
    ages = ("created_at", "next_at", "until", "delivered_at", "given_up_at")
    older = sa.update(table).values({name: table.c[name] - seconds for name in ages})
    database.write(lambda connection: connection.execute(older))


def fail(database: Database) -> bool:
    """One failed attempt of the one row that is due."""
    [delivery] = database.write(outbox.take, 8, 30.0)
    return database.write(outbox.postpone, delivery)


def give_up(database: Database) -> None:
    age(database, 72 * HOUR_S)
    assert fail(database) is False


def test_the_payload_names_the_generation_alone(database: Database) -> None:
    before = database.read(clock)
    tell(database, "g", kind="generation.failed", reason="too_late")
    [row] = rows(database)
    told = msgspec.json.decode(row["body"])
    assert told.keys() == {"type", "timestamp", "data"}
    assert told["type"] == row["kind"] == "generation.failed"
    assert told["data"] == {"generation": "g", "reason": "too_late"}
    assert told["timestamp"].endswith("Z")
    assert before <= datetime.datetime.fromisoformat(told["timestamp"]).timestamp() + 0.001
    assert row["id"].startswith("msg_")
    assert "." not in row["id"]
    assert row["until"] - row["created_at"] == 72 * HOUR_S


def test_nothing_is_told_without_a_receiver(database: Database) -> None:
    database.write(outbox.tell, Settings(), "generation.done", "g")
    assert rows(database) == []


def test_a_transaction_that_is_undone_tells_nothing(database: Database) -> None:
    def undone(connection: sa.Connection) -> None:
        outbox.tell(connection, SETTINGS, "generation.done", "g")
        raise KeyError

    with pytest.raises(KeyError):
        database.write(undone)
    assert rows(database) == []


def test_taken_in_order_and_for_the_lease_only(database: Database) -> None:
    tell(database, "a", "b", "c")
    told = {row["id"]: row["generation"] for row in rows(database)}
    first = database.write(outbox.take, 2, 30.0)
    second = database.write(outbox.take, 2, 30.0)
    assert [told[each.id] for each in first] == ["a", "b"]
    assert [told[each.id] for each in second] == ["c"]
    assert database.write(outbox.take, 2, 30.0) == []
    age(database, 31.0)
    again = database.write(outbox.take, 8, 30.0)
    assert [(told[each.id], each.attempt) for each in again] == [("a", 2), ("b", 2), ("c", 2)]
    assert [each.body for each in again] == [each.body for each in (*first, *second)]


def test_many_senders_take_each_row_once(database: Database) -> None:
    tell(database, *(f"g{number}" for number in range(120)))
    taken: list[Delivery] = []
    start = threading.Barrier(6)

    def send() -> None:
        start.wait()
        while found := database.write(outbox.take, 8, 30.0):
            taken.extend(found)

    threads = [threading.Thread(target=send) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # On PostgreSQL one who finds only rows that others are locking ends early: nothing is lost, it is due still.
    send_rest = database.write(outbox.take, 120, 30.0)
    assert len(taken) + len(send_rest) == 120
    assert len({each.id for each in (*taken, *send_rest)}) == 120
    assert {each.attempt for each in taken} == {1}


def test_a_row_that_another_is_taking_is_passed_over(database: Database) -> None:
    if database.is_sqlite:
        pytest.skip("there, a write transaction has the database for itself")
    tell(database, "a", "b")
    with database._engine.begin() as other:
        [first] = outbox.take(other, 1, 30.0)
        [second] = database.write(outbox.take, 8, 30.0)
    assert first.id != second.id


def test_what_is_delivered_is_not_sent_again(database: Database) -> None:
    tell(database, "g")
    [delivery] = database.write(outbox.take, 8, 30.0)
    database.write(outbox.delivered, delivery)
    age(database, HOUR_S)
    assert database.write(outbox.take, 8, 30.0) == []
    assert database.write(outbox.postpone, delivery) is True  # late, and of no effect
    assert database.read(outbox.counts) == outbox.Counts(0, 0, 0.0)
    assert rows(database)[0]["delivered_at"] is not None


def test_a_sender_that_comes_late_postpones_nothing(database: Database) -> None:
    tell(database, "g")
    [late] = database.write(outbox.take, 8, 0.0)
    [current] = database.write(outbox.take, 8, 30.0)
    before = rows(database)
    database.write(outbox.postpone, late)
    assert rows(database) == before
    database.write(outbox.postpone, current)
    assert rows(database) != before


def test_pauses_grow_to_two_hours() -> None:
    pauses = [outbox.pause_s(attempts) for attempts in range(1, 8)]
    assert pauses == sorted(pauses)
    assert 4 <= pauses[0] <= 6
    for attempts in (10, 100, 100_000):
        assert 0.8 * 7200 <= outbox.pause_s(attempts) <= 1.2 * 7200
    assert len({outbox.pause_s(5) for _ in range(10)}) > 1  # jitter


def test_a_failed_one_waits_for_longer_each_time(database: Database) -> None:
    tell(database, "g")
    pauses = []
    for _ in range(6):
        assert fail(database) is True
        [row] = rows(database)
        pauses.append(row["next_at"] - database.read(clock))
        age(database, row["next_at"] - database.read(clock) + 0.01)
    for shorter, longer in itertools.pairwise(pauses):
        assert longer > shorter


def test_tried_to_the_very_end_of_72_hours(database: Database) -> None:
    tell(database, "g")
    tries = 1
    while fail(database):
        tries += 1
        age(database, rows(database)[0]["next_at"] - database.read(clock) + 0.01)
    [row] = rows(database)
    # So whenever a receiver came back within them, the last attempt would have found it.
    assert 72 * HOUR_S <= row["given_up_at"] - row["created_at"] < 72 * HOUR_S + 60
    assert 40 < tries < 60
    assert database.read(outbox.counts).given_up == 1
    age(database, 100 * HOUR_S)
    assert database.write(outbox.take, 8, 30.0) == []


def test_a_server_that_was_down_for_longer_tries_once_more(database: Database) -> None:
    tell(database, "g")
    age(database, 100 * HOUR_S)
    [delivery] = database.write(outbox.take, 8, 30.0)
    database.write(outbox.delivered, delivery)
    assert database.read(outbox.counts) == outbox.Counts(0, 0, 0.0)


def test_given_up_ones_are_sent_again_on_command(database: Database) -> None:
    tell(database, "g")
    body = rows(database)[0]["body"]
    give_up(database)
    assert database.write(outbox.redrive) == 1
    assert database.write(outbox.redrive) == 0
    assert fail(database) is True  # with 72 hours of its own, from a short pause on
    [row] = rows(database)
    assert (row["attempts"], row["given_up_at"], row["body"]) == (1, None, body)
    assert row["next_at"] - database.read(clock) < 7
    age(database, 71 * HOUR_S)
    assert fail(database) is True
    age(database, HOUR_S)
    assert fail(database) is False


def test_redrive_leaves_out_what_is_older(database: Database) -> None:
    tell(database, "old")
    give_up(database)
    age(database, HOUR_S)
    tell(database, "new", "waiting")
    new, _ = database.write(outbox.take, 8, 30.0)
    lost = sa.update(table).where(table.c.id == new.id).values(given_up_at=1.0)
    database.write(lambda connection: connection.execute(lost))
    assert database.write(outbox.redrive, database.read(clock) - HOUR_S) == 1
    assert [row["given_up_at"] is None for row in rows(database)] == [False, True, True]


def test_a_forgotten_generation_leaves_what_is_still_to_be_sent(database: Database) -> None:
    tell(database, "g", "g", "other")
    sent = database.write(outbox.take, 1, 30.0)[0]
    database.write(outbox.delivered, sent)
    database.write(outbox.forget, "g")
    assert [row["generation"] for row in rows(database)] == ["g", "other"]
    age(database, 72 * HOUR_S)
    for delivery in database.write(outbox.take, 8, 30.0):
        database.write(outbox.postpone, delivery)
    database.write(outbox.forget, "g")
    assert [row["generation"] for row in rows(database)] == ["other"]


def test_old_rows_are_dropped(database: Database) -> None:
    tell(database, "delivered")
    database.write(outbox.delivered, database.write(outbox.take, 8, 30.0)[0])
    tell(database, "given up")
    for days, left in ((6, 2), (2, 1), (25, 1)):
        age(database, days * 86400.0)
        database.write(outbox.drop_old)
        assert len(rows(database)) == left
    assert fail(database) is False
    for days, left in ((29, 1), (2, 0)):
        age(database, days * 86400.0)
        database.write(outbox.drop_old)
        assert len(rows(database)) == left


def test_counted_and_listed(database: Database) -> None:
    tell(database, "lost", kind="photos.deleted")
    give_up(database)
    tell(database, "g")
    age(database, 100.0)
    counts = database.read(outbox.counts)
    assert (counts.waiting, counts.given_up) == (1, 1)
    assert 100 <= counts.oldest_s < 160
    lost, waiting = database.read(outbox.undelivered, 10)
    assert (lost.state, lost.kind, lost.generation, lost.attempts) == ("given up", "photos.deleted", "lost", 1)
    assert (waiting.state, waiting.kind, waiting.generation, waiting.attempts) == ("waiting", "generation.done", "g", 0)
    assert 100 <= waiting.age_s < 160
    assert [each.id for each in database.read(outbox.undelivered, 1)] == [lost.id]
