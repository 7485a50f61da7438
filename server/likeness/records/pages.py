"""Cursor pagination: the newest first, and steady while rows are added or removed."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from typing import Any, Final

import msgspec
import sqlalchemy as sa

from likeness.refusals import InputError

MOST: Final = 100


class Page(msgspec.Struct, frozen=True):
    """Rows, and the cursor of those after them, or None at the end."""

    rows: Sequence[sa.Row[Any]]
    next: str | None


def fetch_page(
    connection: sa.Connection,
    chosen: sa.Select[Any],
    moment: sa.Column[float],
    key: sa.Column[str],
    *,
    cursor: str | None,
    limit: int,
) -> Page:
    """One page of a selection, ordered by a time and an id; raises InputError for a cursor that is none."""
    if cursor is not None:
        after, last = _decode(cursor)
        chosen = chosen.where(sa.or_(moment < after, sa.and_(moment == after, key < last)))
    ordered = chosen.order_by(moment.desc(), key.desc()).limit(limit + 1)
    rows = connection.execute(ordered).all()
    more = rows[limit - 1] if len(rows) > limit else None
    return Page(rows[:limit], None if more is None else _encode(more._mapping[moment], more._mapping[key]))


def _encode(moment: float, key: str) -> str:
    return base64.urlsafe_b64encode(msgspec.msgpack.encode((moment, key))).rstrip(b"=").decode()


def _decode(cursor: str) -> tuple[float, str]:
    try:
        data = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        return msgspec.msgpack.decode(data, type=tuple[float, str])
    except (binascii.Error, ValueError, msgspec.MsgspecError) as error:
        raise InputError("This cursor is none that the server gave. Start without one.") from error
