"""Leases of workers on the database's clock. A death, once declared, is never undone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec
import sqlalchemy as sa

from likeness.database import clock, tables

_table = tables.workers
REMEMBERED_S: Final = 3600.0


def register(connection: sa.Connection, worker: str, place: str, is_dead: Callable[[str], bool]) -> None:
    """Enter a worker; `is_dead` says of earlier ones of the same place what can be seen there without waiting."""
    now = clock(connection)
    earlier = sa.select(_table.c.id).where(_table.c.place == place, _table.c.ended_at.is_(None))
    for other in [each for each in connection.execute(earlier).scalars() if is_dead(each)]:
        end(connection, other)
    connection.execute(sa.insert(_table).values(id=worker, place=place, started_at=now, beat_at=now))


def beat(connection: sa.Connection, worker: str, stats: dict[str, float]) -> bool:
    """Renew a lease; False when the worker has been declared dead and must stop at once."""
    alive = sa.update(_table).where(_table.c.id == worker, _table.c.ended_at.is_(None))
    text = msgspec.json.encode(stats).decode()
    return connection.execute(alive.values(beat_at=clock(connection), stats=text)).rowcount == 1


def end(connection: sa.Connection, worker: str) -> None:
    """Declare a worker ended: by itself after handing back, or by whoever saw its process die."""
    alive = sa.update(_table).where(_table.c.id == worker, _table.c.ended_at.is_(None))
    connection.execute(alive.values(ended_at=clock(connection)))


def bury(connection: sa.Connection, lease_s: float) -> int:
    """Declare those dead whose lease has run out; answers how many."""
    now = clock(connection)
    silent = sa.update(_table).where(_table.c.ended_at.is_(None), _table.c.beat_at < now - lease_s)
    return connection.execute(silent.values(ended_at=now)).rowcount


def living(connection: sa.Connection) -> set[str]:
    """Those that have neither ended nor been declared dead."""
    return set(connection.execute(sa.select(_table.c.id).where(_table.c.ended_at.is_(None))).scalars())


def stats_of_living(connection: sa.Connection, lease_s: float) -> dict[str, dict[str, float]]:
    """What each live worker measured of itself, by its id."""
    alive = _table.c.ended_at.is_(None), _table.c.beat_at > clock(connection) - lease_s
    rows = connection.execute(sa.select(_table.c.id, _table.c.stats).where(*alive))
    return {worker: msgspec.json.decode(text, type=dict[str, float]) for worker, text in rows}


def drop_old(connection: sa.Connection) -> None:
    """Forget workers that ended long ago."""
    connection.execute(sa.delete(_table).where(_table.c.ended_at < clock(connection) - REMEMBERED_S))
