"""The outbox: what the platform is told of, written in the transaction of what it tells, and sent from there.

A row's body never changes. It is told at least once: a sender that dies leaves its rows to the next one.
"""

from __future__ import annotations

import datetime
import random
import secrets
from collections.abc import Mapping
from typing import Final

import msgspec
import sqlalchemy as sa

from likeness.database import clock, tables
from likeness.settings import Settings

KINDS: Final = (
    "generation.done",
    "generation.failed",
    "generation.cancelled",
    "generation.expired",
    "photos.deleted",
)
TRIED_S: Final = 72 * 3600.0
# The first pause, how much longer each is than the one before, and the longest; each up to a fifth more or less, so
# that what failed together does not come back together.
FIRST_S: Final = 5.0
GROWTH: Final = 3.0
MOST_S: Final = 7200.0
JITTER: Final = 0.2
DELIVERED_KEPT_S: Final = 7 * 86400.0
GIVEN_UP_KEPT_S: Final = 30 * 86400.0
_table = tables.webhooks
_open = sa.and_(_table.c.delivered_at.is_(None), _table.c.given_up_at.is_(None))
_given_up = sa.and_(_table.c.delivered_at.is_(None), _table.c.given_up_at.is_not(None))


class Payload(msgspec.Struct, frozen=True):
    """The body as JSON: ids and what happened, nothing about the user."""

    type: str
    timestamp: datetime.datetime
    data: dict[str, object]


class Delivery(msgspec.Struct, frozen=True):
    """A row that a sender has taken, at `taken_at` by the database's clock; `attempt` counts from 1."""

    id: str
    body: str
    attempt: int
    taken_at: float


class Undelivered(msgspec.Struct, frozen=True):
    """A row that waits or was given up; times in seconds since 1970, `age_s` since it was written."""

    id: str
    state: str
    kind: str
    generation: str
    age_s: float
    attempts: int
    next_at: float


class Counts(msgspec.Struct, frozen=True):
    """The outbox in three numbers; `oldest_s` is the age of the oldest row that waits, 0 when none does."""

    waiting: int
    given_up: int
    oldest_s: float


def tell(
    connection: sa.Connection, settings: Settings, kind: str, generation: str, data: Mapping[str, object] | None = None
) -> None:
    """Write down one of KINDS, to be sent soon; nothing where no webhook_url is set."""
    assert kind in KINDS, kind
    if not settings.webhook_url:
        return
    now = clock(connection)
    moment = datetime.datetime.fromtimestamp(now, datetime.UTC)
    body = msgspec.json.encode(Payload(kind, moment, {"generation": generation, **(data or {})}))
    row = {"id": f"msg_{secrets.token_hex(12)}", "kind": kind, "generation": generation, "body": body.decode()}
    times = {"created_at": now, "next_at": now, "until": now + TRIED_S}
    connection.execute(sa.insert(_table).values(row | times))


def take(connection: sa.Connection, limit: int, lease_s: float) -> list[Delivery]:
    """Rows that are due, the longest due first: the caller's for so many seconds, then anybody's again."""
    now = clock(connection)
    due = sa.select(_table.c.id).where(_open, _table.c.next_at <= now).order_by(_table.c.next_at).limit(limit)
    # In two statements: PostgreSQL may run a subquery that locks more than once, and then takes more than the limit.
    taken = list(connection.execute(due.with_for_update(skip_locked=True)).scalars())
    if not taken:
        return []
    leased = sa.update(_table).where(_table.c.id.in_(taken))
    leased = leased.values(next_at=now + lease_s, attempts=_table.c.attempts + 1)
    rows = connection.execute(leased.returning(_table.c.id, _table.c.body, _table.c.attempts))
    found = {row.id: Delivery(row.id, row.body, row.attempts, now) for row in rows}
    return [found[webhook] for webhook in taken]


def delivered(connection: sa.Connection, delivery: Delivery) -> None:
    """Note that the receiver has it, even if the row has been taken by another sender since."""
    row = sa.update(_table).where(_table.c.id == delivery.id, _table.c.delivered_at.is_(None))
    connection.execute(row.values(delivered_at=clock(connection), given_up_at=None))


def postpone(connection: sa.Connection, delivery: Delivery) -> bool:
    """Note a failed attempt: the next one after a longer pause, the last one at the row's end. False once given up.

    Does nothing to a row that has been taken by another sender since.
    """
    now = clock(connection)
    mine = _table.c.id == delivery.id, _open, _table.c.attempts == delivery.attempt
    if connection.execute(sa.update(_table).where(*mine, _table.c.until <= now).values(given_up_at=now)).rowcount:
        return False
    pause = now + pause_s(delivery.attempt)
    # Whenever a receiver comes back before the end, at least that last attempt finds it.
    next_at = sa.case((_table.c.until < pause, _table.c.until), else_=pause)
    connection.execute(sa.update(_table).where(*mine).values(next_at=next_at))
    return True


def pause_s(attempts: int) -> float:
    """Seconds from the end of so many attempts to the next one."""
    # The exponent is bounded before the power: a float does not go to the 700th.
    pause = min(FIRST_S * GROWTH ** min(attempts - 1, 50), MOST_S)
    return pause * random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311 - spreads load, guards nothing


def redrive(connection: sa.Connection, since: float | None = None) -> int:
    """Make given-up rows due now, with 72 hours of their own; `since` leaves out those written before it."""
    now = clock(connection)
    chosen = sa.update(_table).where(_given_up)
    if since is not None:
        chosen = chosen.where(_table.c.created_at >= since)
    return connection.execute(chosen.values(given_up_at=None, attempts=0, next_at=now, until=now + TRIED_S)).rowcount


def forget(connection: sa.Connection, generation: str) -> None:
    """Delete a forgotten generation's rows, but for those still to be sent: they name it alone, and tell of its end."""
    connection.execute(sa.delete(_table).where(_table.c.generation == generation, sa.not_(_open)))


def drop_old(connection: sa.Connection) -> None:
    """Delete rows a week after their delivery, and a month after they were given up."""
    now = clock(connection)
    ends = (_table.c.delivered_at, DELIVERED_KEPT_S), (_table.c.given_up_at, GIVEN_UP_KEPT_S)
    for ended_at, kept_s in ends:
        connection.execute(sa.delete(_table).where(ended_at < now - kept_s))


def counts(connection: sa.Connection) -> Counts:
    """How many wait and were given up, and for how long."""
    waiting, oldest = connection.execute(
        sa.select(sa.func.count(), sa.func.min(_table.c.created_at)).where(_open)
    ).one()
    given_up = connection.execute(sa.select(sa.func.count()).select_from(_table).where(_given_up)).scalar_one()
    return Counts(waiting, given_up, 0.0 if oldest is None else clock(connection) - oldest)


def undelivered(connection: sa.Connection, limit: int) -> list[Undelivered]:
    """Rows that wait or were given up, the oldest first."""
    state = sa.case((_open, "waiting"), else_="given up")
    age_s = sa.literal(clock(connection)) - _table.c.created_at
    columns = _table.c.id, state, _table.c.kind, _table.c.generation, age_s, _table.c.attempts, _table.c.next_at
    chosen = sa.select(*columns).where(_table.c.delivered_at.is_(None)).order_by(_table.c.created_at).limit(limit)
    return [Undelivered(*row) for row in connection.execute(chosen)]
