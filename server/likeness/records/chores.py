"""Work that one process of the fleet does at a time, such as looking through the whole store."""

from __future__ import annotations

import sqlalchemy as sa

from likeness.database import clock, insert_unless_there, tables

_table = tables.chores


def take(connection: sa.Connection, name: str, for_s: float) -> bool:
    """Take a chore for so many seconds; False while another process has it, or has done it within its time."""
    now = clock(connection)
    if insert_unless_there(connection, _table, name=name, until=now + for_s):
        return True
    over = sa.update(_table).where(_table.c.name == name, _table.c.until <= now)
    return connection.execute(over.values(until=now + for_s)).rowcount == 1
