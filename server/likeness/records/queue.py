"""The queue as users and operators see it: whose turn is when, how long it takes, whether there is room for more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
import sqlalchemy as sa

from likeness.database import tables
from likeness.records import workers
from likeness.refusals import OverloadedError
from likeness.settings import Settings, Tier

if TYPE_CHECKING:
    from likeness.records.generations import Generation

# A Lite generation gives way to Plus ones for at most so long.
LITE_WAITS_S: Final = 900
# A user's next generation is put so far behind the one before, that others' go in between.
APART_S: Final = 60
# Before anything was measured: seconds an avatar, on two CPU cores.
AVATAR_S: Final = 0.25
_table = tables.generations


class Estimate(msgspec.Struct, frozen=True):
    """The queue as a whole: generations that wait, and seconds until a new one would be begun."""

    waiting: int
    wait_s: float


def estimate(connection: sa.Connection, settings: Settings) -> Estimate:
    """The queue by what the workers measured: avatars to draw times seconds an avatar, over live workers."""
    waiting = _count(connection, _table.c.state == "queued")
    rendering = _pending(connection, _table.c.state == "rendering")
    speed = sum(_speeds(connection, settings).values()) or 1 / AVATAR_S
    return Estimate(waiting, (rendering + waiting * settings.avatars) / speed)


def eta_s(connection: sa.Connection, generation: Generation, settings: Settings) -> float | None:
    """Seconds until a generation is drawn, as the workers have measured their steps; None when it has ended.

    While it is drawn it shares its worker with what else that draws; while it waits, all workers with what goes first.
    """
    speeds = _speeds(connection, settings)
    if generation.state == "rendering" and generation.worker in speeds:
        beside = _table.c.state == "rendering", _table.c.worker == generation.worker
        return _pending(connection, *beside) / speeds[generation.worker]
    if generation.state not in ("queued", "rendering"):
        return None
    before = _pending(connection, _table.c.state == "rendering")
    before += (ahead_of(connection, generation) + 1) * settings.avatars
    return before / (sum(speeds.values()) or 1 / AVATAR_S)


def check_room(connection: sa.Connection, settings: Settings) -> None:
    """Raise OverloadedError when a new generation could not be begun in time."""
    queue = estimate(connection, settings)
    if queue.waiting >= settings.queue_most or queue.wait_s > settings.wait_most_s:
        raise OverloadedError(max(30.0, queue.wait_s - settings.wait_most_s))


def ahead_of(connection: sa.Connection, generation: Generation) -> int:
    """How many waiting generations are begun before this one."""
    return _count(connection, _table.c.state == "queued", _table.c.goes_at < generation.goes_at)


def turn(connection: sa.Connection, owner: str, tier: Tier, now: float) -> float:
    """When a new generation's turn is: Plus at once, Lite after at most so long, nobody twice in a row."""
    mine = sa.select(sa.func.max(_table.c.goes_at)).where(_table.c.owner == owner, _table.c.state == "queued")
    before = connection.execute(mine).scalar()
    turn = now + (LITE_WAITS_S if tier == "lite" else 0)
    return turn if before is None else max(turn, before + APART_S)


def _speeds(connection: sa.Connection, settings: Settings) -> dict[str, float]:
    """Avatars a second of each live worker, as it has measured lately."""
    stats = workers.stats_of_living(connection, settings.lease_s)
    return {worker: 1 / (each.get("avatar_s") or AVATAR_S) for worker, each in stats.items()}


def _count(connection: sa.Connection, *which: sa.ColumnElement[bool]) -> int:
    return connection.execute(sa.select(sa.func.count()).select_from(_table).where(*which)).scalar_one()


def _pending(connection: sa.Connection, *which: sa.ColumnElement[bool]) -> int:
    """Avatars that are still to be drawn, of these generations."""
    table = tables.avatars
    of_these = table.c.generation.in_(sa.select(_table.c.id).where(*which)), table.c.state == "pending"
    return connection.execute(sa.select(sa.func.count()).select_from(table).where(*of_these)).scalar_one()
