"""Wrapped keys. Reading one needs the keyring too; deleting the row is half of forgetting, see `retention.erase`."""

from __future__ import annotations

import msgspec
import sqlalchemy as sa

from likeness.database import insert_unless_there, tables
from likeness.records.generations import NewKey

_table = tables.keys


def get(connection: sa.Connection, subject: str, purpose: str) -> NewKey | None:
    """The wrapped key of a generation (photo, avatar) or of an owner (gallery)."""
    chosen = sa.select(_table.c.purpose, _table.c.epoch, _table.c.wrapped)
    row = connection.execute(chosen.where(_table.c.subject == subject, _table.c.purpose == purpose)).first()
    return None if row is None else NewKey(*row)


def add(connection: sa.Connection, subject: str, key: NewKey) -> NewKey:
    """Keep a key unless there is one; answers the one that is kept."""
    insert_unless_there(connection, _table, subject=subject, **msgspec.structs.asdict(key))
    kept = get(connection, subject, key.purpose)
    assert kept is not None
    return kept


def take(connection: sa.Connection, subject: str, purpose: str) -> NewKey | None:
    """Delete a key's row and answer it, to one caller of many; follow with `Database.forget_deleted`."""
    which = _table.c.subject == subject, _table.c.purpose == purpose
    columns = _table.c.purpose, _table.c.epoch, _table.c.wrapped
    row = connection.execute(sa.delete(_table).where(*which).returning(*columns)).first()
    return None if row is None else NewKey(*row)
