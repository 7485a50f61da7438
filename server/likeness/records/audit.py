"""The audit of deletions: what went, when, and when it was due. Append-only, by triggers; it names no user."""

from __future__ import annotations

from typing import Literal

import msgspec
import sqlalchemy as sa

from likeness.database import now, tables

Kind = Literal["upload", "photos", "avatars", "discarded", "gallery", "account", "object", "epoch", "lost"]
_table = tables.audit


class Entry(msgspec.Struct, frozen=True):
    """One deletion; times in seconds since 1970. `kind` "lost" is an object that the store itself has lost."""

    at: float
    kind: Kind
    subject: str
    due_at: float | None
    objects: int


def note(connection: sa.Connection, kind: Kind, subject: str, *, due_at: float | None = None, objects: int = 0) -> None:
    """Append a deletion, in the transaction that completes it. `due_at` only where a deadline promised it."""
    row = {"at": now(connection), "kind": kind, "subject": subject, "due_at": due_at, "objects": objects}
    connection.execute(sa.insert(_table).values(row))


def since(connection: sa.Connection, time: float) -> list[Entry]:
    """All deletions from a time on, the oldest first."""
    columns = [_table.c[name] for name in Entry.__struct_fields__]
    chosen = sa.select(*columns).where(_table.c.at >= time).order_by(_table.c.at, _table.c.id)
    return [Entry(*row) for row in connection.execute(chosen)]
