"""A migrated database of either kind with an empty outbox, and a receiver on loopback."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from likeness.database import Database, tables
from likeness.settings import Settings
from tests.webhooks.platform import Platform


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def migrated(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """Settings of a migrated database."""
    folder: Path = tmp_path_factory.mktemp("webhooks")
    url = request.getfixturevalue("postgres").create() if request.param == "postgresql" else ""
    settings = Settings(data=folder, database=url)
    database = Database(settings.database_url)
    database.migrate()
    database.close()
    yield settings
    if url:
        request.getfixturevalue("postgres").drop(url)


@pytest.fixture
def database(migrated: Settings) -> Iterator[Database]:
    database = Database(migrated.database_url)
    database.write(lambda connection: connection.execute(sa.delete(tables.webhooks)))
    yield database
    database.close()


@pytest.fixture
def platform() -> Iterator[Platform]:
    with Platform() as platform:
        yield platform
