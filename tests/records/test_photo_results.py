"""What became of every photo given: kept with its generation, and nothing for one that an older version accepted."""

from __future__ import annotations

from collections.abc import Callable

import sqlalchemy as sa

from likeness.database import Database, tables
from likeness.errors import PhotoResult
from likeness.records import generations


def results(database: Database, generation: str) -> tuple[PhotoResult, ...]:
    found = database.read(generations.get, generation)
    assert found is not None
    return found.photo_results


def test_results_are_kept_with_the_generation(database: Database, new_generation: Callable[..., str]) -> None:
    assert results(database, new_generation("g")) == tuple(PhotoResult(index, accepted=True) for index in range(3))


def test_a_row_of_the_version_before_has_none(database: Database, new_generation: Callable[..., str]) -> None:
    """It names no such column."""
    new_generation("g")
    table = tables.generations
    rows = sa.select(*(column for column in table.c if column.name != "photo_results"))

    def copy(connection: sa.Connection) -> None:
        row = dict(connection.execute(rows.where(table.c.id == "g")).one()._mapping)
        names = ", ".join(row)
        values = ", ".join(f":{name}" for name in row)
        connection.execute(sa.text(f"INSERT INTO generations ({names}) VALUES ({values})"), row | {"id": "older"})

    database.write(copy)
    assert results(database, "older") == ()
