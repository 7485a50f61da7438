"""How often each style was chosen, saved and published, by day: counts, and nobody's name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Literal

import sqlalchemy as sa

from likeness.database import clock, insert_unless_there, tables
from likeness.records.quota import day_of

Kind = Literal["chosen", "saved", "published"]
_table = tables.trends


def count(connection: sa.Connection, kind: Kind, styles: Iterable[str]) -> None:
    """Count each style once for every time that it is named; last in a transaction, since all wait for these rows."""
    day = day_of(clock(connection))
    for style, times in sorted(Counter(styles).items()):  # in one order everywhere: two writers never wait in a circle
        insert_unless_there(connection, _table, style=style, kind=kind, day=day, count=0)
        row = _table.c.style == style, _table.c.kind == kind, _table.c.day == day
        connection.execute(sa.update(_table).where(*row).values(count=_table.c.count + times))


def totals(connection: sa.Connection, days: int | None = None) -> dict[tuple[str, str], int]:
    """Counts by (style, kind), of the last days including today, or of all time."""
    chosen = sa.select(_table.c.style, _table.c.kind, sa.func.sum(_table.c.count)).group_by(
        _table.c.style, _table.c.kind
    )
    if days is not None:
        chosen = chosen.where(_table.c.day > day_of(clock(connection) - days * 86400))
    return {(style, kind): int(total) for style, kind, total in connection.execute(chosen)}
