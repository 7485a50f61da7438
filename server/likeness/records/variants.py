"""Other sizes and formats of stored avatars: made and signed once, kept as long as the avatar, under its key.

A variant is entered only while the avatar's row and its key's row are there, both locked: whoever deletes either first
and takes the variants after it (`take`) therefore finds all that there will ever be.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal

import msgspec
import sqlalchemy as sa

from likeness.database import insert_unless_there, tables
from likeness.records import deadlines

Purpose = Literal["avatar", "gallery"]
# What making one may take: a process that dies before the row is there leaves the object to the sweeper.
MAKING_S: Final = 600.0
_table = tables.variants


class Variant(msgspec.Struct, frozen=True):
    """A kept variant of the avatar (`subject`, `index`): a generation's, or with the index 0 one of the gallery.
    `kind` is its size and format, such as `64.webp`; `digest` the sha256 of its ciphertext.
    """

    purpose: Purpose
    subject: str
    index: int
    kind: str
    object: str
    digest: str


def find(connection: sa.Connection, purpose: Purpose, subject: str, index: int, kind: str) -> Variant | None:
    """A variant, if it was made before."""
    which = _of(purpose, subject), _table.c.index == index, _table.c.kind == kind
    row = connection.execute(sa.select(_table).where(*which)).first()
    return None if row is None else Variant(**row._mapping)


def enter(connection: sa.Connection, made: Variant, original: str, keeper: str) -> bool:
    """Enter a variant whose object is stored, and due; `original` is the avatar's object, `keeper` whose key it is
    under. False, and the object stays due, when another was faster, or the avatar or its key is gone.
    """
    key = sa.select(tables.keys.c.subject).where(tables.keys.c.subject == keeper, tables.keys.c.purpose == made.purpose)
    for still in (_original(made, original), key):
        if connection.execute(still.with_for_update()).first() is None:
            return False
    if find(connection, made.purpose, made.subject, made.index, made.kind) is not None:
        return False
    # Dropped by the sweeper means deleted: making it took so long.
    if not deadlines.drop(connection, "object", made.object):
        return False
    return insert_unless_there(connection, _table, **msgspec.structs.asdict(made))


def take(
    connection: sa.Connection, purpose: Purpose, subject: str, indexes: Sequence[int] | None = None
) -> list[Variant]:
    """Delete the rows of an avatar's variants, or of all avatars of a generation; answers them, for their objects."""
    which = _of(purpose, subject)
    if indexes is not None:
        which = sa.and_(which, _table.c.index.in_(indexes))
    rows = connection.execute(sa.delete(_table).where(which).returning(*_table.c))
    return sorted((Variant(**row._mapping) for row in rows), key=lambda each: (each.index, each.kind))


def of_generation(connection: sa.Connection, generation: str) -> list[Variant]:
    """All variants of a generation's avatars."""
    chosen = sa.select(_table).where(_of("avatar", generation)).order_by(_table.c.index, _table.c.kind)
    return [Variant(**row._mapping) for row in connection.execute(chosen)]


def of_owner(connection: sa.Connection, owner: str) -> list[Variant]:
    """All variants of an owner's saved avatars."""
    saved = sa.select(tables.gallery.c.id).where(tables.gallery.c.owner == owner)
    chosen = sa.select(_table).where(_table.c.purpose == "gallery", _table.c.subject.in_(saved))
    return [Variant(**row._mapping) for row in connection.execute(chosen.order_by(_table.c.subject, _table.c.kind))]


def _of(purpose: Purpose, subject: str) -> sa.ColumnElement[bool]:
    return sa.and_(_table.c.purpose == purpose, _table.c.subject == subject)


def _original(made: Variant, original: str) -> sa.Select[tuple[str]]:
    if made.purpose == "gallery":
        saved = tables.gallery
        return sa.select(saved.c.id).where(saved.c.id == made.subject, saved.c.object == original)
    avatars = tables.avatars
    which = avatars.c.generation == made.subject, avatars.c.index == made.index, avatars.c.object == original
    return sa.select(avatars.c.generation).where(*which)
