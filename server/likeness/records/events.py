"""The events of a generation: numbered from 1 without gaps, stored, and so resumable."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal

import msgspec
import sqlalchemy as sa

from likeness.database import tables

Kind = Literal["queued", "progress", "avatar", "done", "failed", "cancelled", "photos_deleted", "expired"]
ENDS: Final = ("done", "failed", "cancelled")


class Event(msgspec.Struct, frozen=True):
    """One stored event; `id` orders all generations' events, `number` those of this one. `data` is JSON."""

    id: int
    generation: str
    number: int
    kind: str
    data: str


def add_event(connection: sa.Connection, generation: str, kind: Kind, data: dict[str, object] | None = None) -> None:
    """Append an event to a generation, in the transaction of what it tells."""
    add_events(connection, generation, [(kind, data or {})])


def add_events(connection: sa.Connection, generation: str, new: Sequence[tuple[Kind, dict[str, object]]]) -> None:
    """Append several; the generation's row stays locked to the end, so that numbers are committed in their order."""
    counted = (
        sa.update(tables.generations)
        .where(tables.generations.c.id == generation)
        .values(events=tables.generations.c.events + len(new))
        .returning(tables.generations.c.events)
    )
    first = connection.execute(counted).scalar_one() - len(new) + 1
    rows = [
        {"generation": generation, "number": number, "kind": kind, "data": _json({"generation": generation, **data})}
        for number, (kind, data) in enumerate(new, first)
    ]
    connection.execute(sa.insert(tables.events), rows)


def events_after(connection: sa.Connection, generation: str, number: int) -> list[Event]:
    """A generation's events after one of its numbers."""
    chosen = sa.select(tables.events).where(tables.events.c.generation == generation, tables.events.c.number > number)
    return _events(connection.execute(chosen.order_by(tables.events.c.number)).all())


def new_events(connection: sa.Connection, after_id: int, missed: Sequence[int] = ()) -> list[Event]:
    """All generations' events after an id, and those of the ids before it that were not there yet."""
    table = tables.events
    chosen = sa.or_(table.c.id > after_id, table.c.id.in_(missed)) if missed else table.c.id > after_id
    return _events(connection.execute(sa.select(table).where(chosen).order_by(table.c.id).limit(1000)).all())


def last_event_id(connection: sa.Connection) -> int:
    """The id of the newest event, 0 when there is none."""
    return connection.execute(sa.select(sa.func.max(tables.events.c.id))).scalar_one() or 0


def existing(connection: sa.Connection, generations: Sequence[str]) -> set[str]:
    """Which of these generations still have events."""
    found: set[str] = set()
    for start in range(0, len(generations), 500):
        chosen = tables.events.c.generation.in_(generations[start : start + 500])
        found.update(connection.execute(sa.select(tables.events.c.generation).where(chosen).distinct()).scalars())
    return found


def _json(data: dict[str, object]) -> str:
    return msgspec.json.encode(data).decode()


def _events(rows: Sequence[sa.Row[tuple[object, ...]]]) -> list[Event]:
    return [Event(**row._mapping) for row in rows]
