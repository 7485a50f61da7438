"""Receipts as they grow: what of a generation was deleted, when, and the signature over all of it."""

from __future__ import annotations

import msgspec
import sqlalchemy as sa

from likeness.database import tables
from likeness.vault import Deletion

_table = tables.receipts


def deletions_of(connection: sa.Connection, generation: str) -> list[Deletion]:
    """What was deleted so far, the oldest first."""
    text = connection.execute(sa.select(_table.c.deletions).where(_table.c.generation == generation)).scalar()
    return [] if text is None else msgspec.json.decode(text, type=list[Deletion])


def put(connection: sa.Connection, generation: str, owner: str, deletions: list[Deletion], jws: str) -> None:
    """Keep a receipt in place of the shorter one before."""
    values = {"owner": owner, "deletions": msgspec.json.encode(deletions).decode(), "jws": jws}
    if not connection.execute(sa.update(_table).where(_table.c.generation == generation).values(values)).rowcount:
        connection.execute(sa.insert(_table).values(generation=generation, **values))


def jws_of(connection: sa.Connection, generation: str) -> str | None:
    """The signed receipt, or None while nothing was deleted."""
    return connection.execute(sa.select(_table.c.jws).where(_table.c.generation == generation)).scalar()
