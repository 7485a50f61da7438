"""The daily slots of a user: reserved before an upload's body is read, used when it is accepted, else given back."""

from __future__ import annotations

import datetime
from typing import Final

import msgspec
import sqlalchemy as sa

from likeness.database import clock, insert_unless_there, tables
from likeness.refusals import AttemptsError, QuotaError, UploadRunningError

HOUR_S: Final = 3600
DAY_S: Final = 86400
_slots = tables.quota


class Slot(msgspec.Struct, frozen=True):
    """A reserved or used slot; `number` counts from 0 to the limit of the day."""

    owner: str
    day: str
    number: int


class Left(msgspec.Struct, frozen=True):
    """What a user has left today; `resets_at` in seconds since 1970."""

    limit: int
    remaining: int
    resets_at: float


def day_of(moment: float) -> str:
    """The UTC day of a moment, such as 2026-11-24."""
    return datetime.datetime.fromtimestamp(moment, datetime.UTC).date().isoformat()


def day_ends(moment: float) -> float:
    """When the UTC day of a moment ends."""
    return (moment // DAY_S + 1) * DAY_S


def reserve(connection: sa.Connection, owner: str, limit: int, lives_s: float) -> Slot:
    """Take a free slot of today for `lives_s`; raises QuotaError, or UploadRunningError when one may become free."""
    now = clock(connection)
    day = day_of(now)
    connection.execute(sa.delete(_slots).where(*_of(owner, day), _slots.c.state == "reserved", _slots.c.until < now))
    rows = connection.execute(sa.select(_slots.c.slot, _slots.c.state).where(*_of(owner, day)))
    taken = {row.slot: row.state for row in rows}
    free = next((number for number in range(limit) if number not in taken), None)
    if free is None:
        raise UploadRunningError if "reserved" in taken.values() else QuotaError(limit, day_ends(now) - now)
    # Two uploads at the same moment: the primary key lets one through.
    row = {"owner": owner, "day": day, "slot": free, "state": "reserved", "until": now + lives_s}
    if not insert_unless_there(connection, _slots, **row):
        raise UploadRunningError
    return Slot(owner, day, free)


def renew(connection: sa.Connection, slot: Slot, lives_s: float) -> None:
    """Keep a reservation for so much longer."""
    reserved = sa.update(_slots).where(*_one(slot), _slots.c.state == "reserved")
    connection.execute(reserved.values(until=clock(connection) + lives_s))


def use(connection: sa.Connection, slot: Slot, generation: str) -> bool:
    """Turn a reservation into a used slot; False when it had run out and was taken."""
    ends = day_ends(clock(connection))
    reserved = sa.update(_slots).where(*_one(slot), _slots.c.state == "reserved")
    return connection.execute(reserved.values(state="used", generation=generation, until=ends)).rowcount == 1


def release(connection: sa.Connection, slot: Slot) -> None:
    """Give a reservation back."""
    connection.execute(sa.delete(_slots).where(*_one(slot), _slots.c.state == "reserved"))


def refund(connection: sa.Connection, slot: Slot, generation: str) -> bool:
    """Give a used slot back, once a user and day; returns whether it was."""
    if not insert_unless_there(connection, tables.refunds, owner=slot.owner, day=slot.day):
        return False
    used = sa.delete(_slots).where(*_one(slot), _slots.c.generation == generation)
    return connection.execute(used).rowcount == 1


def release_all(connection: sa.Connection) -> None:
    """Give all reservations back: the only server there is has just started, so no upload is under way."""
    connection.execute(sa.delete(_slots).where(_slots.c.state == "reserved"))


def left_today(connection: sa.Connection, owner: str, limit: int) -> Left:
    """How many generations a user has left today; running uploads count as taken."""
    now = clock(connection)
    live = sa.or_(_slots.c.state == "used", _slots.c.until >= now)
    taken = connection.execute(sa.select(sa.func.count()).where(*_of(owner, day_of(now)), live)).scalar_one()
    return Left(limit, max(0, limit - taken), day_ends(now))


def note_refusal(connection: sa.Connection, owner: str) -> None:
    """Count a refused upload."""
    connection.execute(sa.insert(tables.refusals).values(owner=owner, at=clock(connection)))


def check_refusals(connection: sa.Connection, owner: str, most: int) -> None:
    """Raise AttemptsError when a user had `most` refused uploads within the last hour."""
    now = clock(connection)
    mine = tables.refusals.c.owner == owner, tables.refusals.c.at > now - HOUR_S
    newest = sa.select(tables.refusals.c.at).where(*mine).order_by(tables.refusals.c.at.desc()).limit(most)
    moments = connection.execute(newest).scalars().all()
    if most and len(moments) == most:
        raise AttemptsError(moments[-1] + HOUR_S - now)


def drop_old(connection: sa.Connection) -> None:
    """Forget slots, refunds and refusals that no longer count."""
    now = clock(connection)
    connection.execute(sa.delete(_slots).where(_slots.c.until < now))
    connection.execute(sa.delete(tables.refunds).where(tables.refunds.c.day < day_of(now)))
    connection.execute(sa.delete(tables.refusals).where(tables.refusals.c.at < now - HOUR_S))


def _of(owner: str, day: str) -> tuple[sa.ColumnElement[bool], ...]:
    return _slots.c.owner == owner, _slots.c.day == day


def _one(slot: Slot) -> tuple[sa.ColumnElement[bool], ...]:
    return *_of(slot.owner, slot.day), _slots.c.slot == slot.number
