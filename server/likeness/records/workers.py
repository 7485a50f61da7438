"""Leases of workers on the database's clock. A death, once declared, is never undone."""

from __future__ import annotations

import msgspec
import sqlalchemy as sa

from likeness.database import clock, tables

_table = tables.workers


def register(connection: sa.Connection, worker: str, place: str, alone: bool) -> None:
    """Enter a worker. `alone`: it holds its place's lock, so that all earlier workers of this place are dead."""
    now = clock(connection)
    if alone:
        earlier = sa.update(_table).where(_table.c.place == place, _table.c.ended_at.is_(None))
        connection.execute(earlier.values(ended_at=now))
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


def bury(connection: sa.Connection, lease_s: float) -> list[str]:
    """Declare those dead whose lease has run out; answers all dead whose jobs were not handed on yet."""
    silent = sa.update(_table).where(_table.c.ended_at.is_(None), _table.c.beat_at < clock(connection) - lease_s)
    connection.execute(silent.values(ended_at=clock(connection)))
    dead = sa.select(_table.c.id).where(_table.c.ended_at.is_not(None), _table.c.released == 0)
    return list(connection.execute(dead).scalars())


def released(connection: sa.Connection, workers: list[str]) -> None:
    """Note that the jobs of dead workers are back in the queue."""
    connection.execute(sa.update(_table).where(_table.c.id.in_(workers)).values(released=1))


def stats_of_living(connection: sa.Connection) -> dict[str, dict[str, float]]:
    """What each live worker measured of itself, by its id."""
    rows = connection.execute(sa.select(_table.c.id, _table.c.stats).where(_table.c.ended_at.is_(None)))
    return {worker: msgspec.json.decode(text, type=dict[str, float]) for worker, text in rows}


def drop_old(connection: sa.Connection) -> None:
    """Forget workers that ended an hour ago and whose jobs were handed on."""
    old = _table.c.ended_at < clock(connection) - 3600
    connection.execute(sa.delete(_table).where(old, _table.c.released == 1))
