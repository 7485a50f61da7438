"""Deadlines are rows, set when the thing is made: what is due is found without knowing how anything ended."""

from __future__ import annotations

from typing import Literal

import msgspec
import sqlalchemy as sa

from likeness.database import clock, tables

Kind = Literal["upload", "photos", "avatars", "story", "tombstone"]
_table = tables.deadlines


class Due(msgspec.Struct, frozen=True):
    """Something that has to go now."""

    kind: Kind
    subject: str
    due_at: float


def set_deadline(connection: sa.Connection, kind: Kind, subject: str, due_at: float) -> None:
    """Set, or bring forward, when a subject's things of a kind have to be gone; never postpones."""
    earlier = _row(kind, subject), _table.c.done_at.is_(None), _table.c.due_at > due_at
    if connection.execute(sa.update(_table).where(*earlier).values(due_at=due_at)).rowcount:
        return
    if connection.execute(sa.select(_table.c.kind).where(_row(kind, subject))).first() is None:
        connection.execute(sa.insert(_table).values(kind=kind, subject=subject, due_at=due_at))


def due(connection: sa.Connection, limit: int = 100) -> list[Due]:
    """What is due by the database's clock, the longest overdue first."""
    chosen = sa.select(_table.c.kind, _table.c.subject, _table.c.due_at).where(
        _table.c.done_at.is_(None), _table.c.due_at <= clock(connection)
    )
    return [Due(*row) for row in connection.execute(chosen.order_by(_table.c.due_at).limit(limit))]


def hasten(connection: sa.Connection, kind: Kind) -> None:
    """Make everything of a kind due now."""
    now = clock(connection)
    waiting = sa.update(_table).where(_table.c.kind == kind, _table.c.done_at.is_(None), _table.c.due_at > now)
    connection.execute(waiting.values(due_at=now))


def meet(connection: sa.Connection, kind: Kind, subject: str) -> bool:
    """Mark a deadline as met; False when another process was faster."""
    open_row = sa.update(_table).where(_row(kind, subject), _table.c.done_at.is_(None))
    return connection.execute(open_row.values(done_at=clock(connection))).rowcount == 1


def drop(connection: sa.Connection, kind: Kind, subject: str) -> None:
    """Forget a deadline that has no object any more."""
    connection.execute(sa.delete(_table).where(_row(kind, subject)))


def _row(kind: Kind, subject: str) -> sa.ColumnElement[bool]:
    return sa.and_(_table.c.kind == kind, _table.c.subject == subject)
