"""Data-only style packs, installed for all processes of an installation; their files are in the store of objects.

One that is withdrawn, or replaced by another version, is offered no more, and kept for as long as a generation that
chose it may be running.
"""

from __future__ import annotations

from typing import Final

import msgspec
import sqlalchemy as sa

from likeness.database import clock, insert_unless_there, tables
from likeness.records import deadlines

# Longer than any photo lives (`photos_most_s`), hence than any generation runs.
KEPT_S: Final = 7200.0
_table = tables.style_packs


class Installed(msgspec.Struct, frozen=True):
    """One version of a pack; `name` is its style's, `digest` the sha256 of the archive stored as `object`."""

    id: str
    name: str
    version: str
    object: str
    digest: str
    installed_at: float = 0.0
    withdrawn_at: float | None = None


def offered(connection: sa.Connection) -> list[Installed]:
    """What new uploads may choose, the first installed first."""
    return [each for each in kept(connection) if each.withdrawn_at is None]


def kept(connection: sa.Connection) -> list[Installed]:
    """What is offered, and what running generations may have chosen, the first installed first."""
    late = _table.c.withdrawn_at.is_(None) | (_table.c.withdrawn_at > clock(connection) - KEPT_S)
    rows = connection.execute(sa.select(_table).where(late).order_by(_table.c.installed_at, _table.c.id))
    return [Installed(**row._mapping) for row in rows]


def install(connection: sa.Connection, pack: Installed) -> bool:
    """Offer a pack, whose object is stored and due, in place of what has its name. False, and the object stays due,
    when another install of that name is faster.
    """
    withdraw(connection, pack.name)
    values = {**msgspec.structs.asdict(pack), "installed_at": clock(connection)}
    # Dropped by the sweeper means deleted: storing it took so long.
    return insert_unless_there(connection, _table, **values) and deadlines.drop(connection, "object", pack.object)


def withdraw(connection: sa.Connection, name: str) -> Installed | None:
    """Offer a pack no more; its object goes when nothing can be drawn with it. None when there is none of the name."""
    now = clock(connection)
    which = _table.c.name == name, _table.c.withdrawn_at.is_(None)
    row = connection.execute(sa.update(_table).where(*which).values(withdrawn_at=now).returning(*_table.c)).first()
    if row is None:
        return None
    found = Installed(**row._mapping)
    deadlines.set_deadline(connection, "object", found.object, now + KEPT_S)
    return found
