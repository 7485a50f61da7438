"""Deadlines are rows, set when the thing is made: what is due is found without knowing how anything ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Literal

import msgspec
import sqlalchemy as sa

from likeness.database import clock, tables, upsert

Kind = Literal["upload", "refused", "photos", "avatars", "object", "story", "account", "tombstone"]
# A promise is kept a little early rather than a little late: longer than from one sweep to the next.
EARLY_S: Final = 2.0
# Those with a key: it is destroyed first, whatever the store of objects does.
KEYED: Final = ("photos", "avatars")
_table = tables.deadlines
_COLUMNS: Final = (_table.c.kind, _table.c.subject, _table.c.due_at)


class Due(msgspec.Struct, frozen=True):
    """Something that has to go now."""

    kind: Kind
    subject: str
    due_at: float


def set_deadline(connection: sa.Connection, kind: Kind, subject: str, due_at: float) -> None:
    """Set, or bring forward, when a subject's things of a kind have to be gone; never postpones."""
    set_deadlines(connection, subject, {kind: due_at})


def set_deadlines(connection: sa.Connection, subject: str, due_at: Mapping[Kind, float]) -> None:
    """The same for several kinds."""
    rows = [{"kind": kind, "subject": subject, "due_at": moment} for kind, moment in sorted(due_at.items())]
    insert = upsert(connection, _table).values(rows)
    earlier = sa.and_(_table.c.done_at.is_(None), _table.c.due_at > insert.excluded.due_at)
    keys, later = [_table.c.kind, _table.c.subject], {"due_at": insert.excluded.due_at}
    connection.execute(insert.on_conflict_do_update(index_elements=keys, set_=later, where=earlier))


def expect(connection: sa.Connection, name: str, within_s: float) -> None:
    """Make an object due that is about to be stored, until a row names it: its writer may die in between."""
    set_deadline(connection, "object", name, clock(connection) + within_s)


def due_keys(connection: sa.Connection, limit: int = 100) -> list[Due]:
    """Generations whose photos or avatars are due, and whose key was not destroyed yet, the longest overdue first."""
    keyed = _table.c.kind.in_(KEYED), _table.c.key.is_(None)
    chosen = sa.select(*_COLUMNS).where(*_due(connection), *keyed).order_by(_table.c.due_at).limit(limit)
    return [Due(*row) for row in connection.execute(chosen)]


def take_due(connection: sa.Connection, for_s: float, limit: int = 10) -> list[Due]:
    """What is due by the database's clock, or within moments, the longest overdue first: the caller's for so many
    seconds, then anybody's again.
    """
    now = clock(connection)
    free = sa.select(*_COLUMNS).where(*_due(connection), _table.c.again_at <= now)
    rows = connection.execute(free.order_by(_table.c.due_at).limit(limit).with_for_update(skip_locked=True))
    taken = [Due(*row) for row in rows]
    for each in taken:
        connection.execute(sa.update(_table).where(_row(each.kind, each.subject)).values(again_at=now + for_s))
    return taken


def give_back(connection: sa.Connection, taken: Sequence[Due]) -> None:
    """Let anybody try what could not be met, at once."""
    for each in taken:
        connection.execute(sa.update(_table).where(_row(each.kind, each.subject)).values(again_at=0.0))


def note_key(connection: sa.Connection, kind: Kind, subject: str, key: str) -> None:
    """Keep a destroyed key's public id until the receipt is signed, by whichever process comes so far."""
    connection.execute(sa.update(_table).where(_row(kind, subject), _table.c.key.is_(None)).values(key=key))


def noted_key(connection: sa.Connection, kind: Kind, subject: str) -> str:
    """The id that `note_key` kept, or nothing."""
    return connection.execute(sa.select(_table.c.key).where(_row(kind, subject))).scalar() or ""


def hasten(connection: sa.Connection, kind: Kind) -> None:
    """Make everything of a kind due now."""
    now = clock(connection)
    waiting = sa.update(_table).where(_table.c.kind == kind, _table.c.done_at.is_(None), _table.c.due_at > now)
    connection.execute(waiting.values(due_at=now))


def refuse_upload(connection: sa.Connection, upload: str) -> None:
    """Turn an upload's deadline into that of a refused one: from now on it cannot be accepted."""
    if drop(connection, "upload", upload):
        set_deadline(connection, "refused", upload, clock(connection))


def meet(connection: sa.Connection, kind: Kind, subject: str) -> Due | None:
    """Mark a deadline as met, and answer it; None when another process was faster."""
    open_row = sa.update(_table).where(_row(kind, subject), _table.c.done_at.is_(None))
    row = connection.execute(open_row.values(done_at=clock(connection)).returning(*_COLUMNS)).first()
    return None if row is None else Due(*row)


def drop(connection: sa.Connection, kind: Kind, subject: str) -> bool:
    """Forget a deadline that has no object any more; False when it was met or forgotten before."""
    return connection.execute(sa.delete(_table).where(_row(kind, subject), _table.c.done_at.is_(None))).rowcount == 1


def _due(connection: sa.Connection) -> tuple[sa.ColumnElement[bool], ...]:
    return _table.c.done_at.is_(None), _table.c.due_at <= clock(connection) + EARLY_S


def _row(kind: Kind, subject: str) -> sa.ColumnElement[bool]:
    return sa.and_(_table.c.kind == kind, _table.c.subject == subject)
