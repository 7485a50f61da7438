"""A migrated database, and generations in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from likeness.database import Database, clock
from likeness.errors import PhotoResult
from likeness.records import generations, quota, workers
from likeness.records.generations import NewGeneration, NewKey, NewPhoto
from likeness.settings import Settings
from likeness.worker import jobs

SETTINGS = Settings(avatars=5, attempts=2)


@pytest.fixture(scope="session")
def empty(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A migrated database's file: migrating takes a second."""
    folder = tmp_path_factory.mktemp("empty")
    settings = Settings(data=folder)
    database = Database(settings.database_url)
    database.migrate()
    jobs.migrate(settings)
    assert database.forget_deleted()
    database.close()
    return (folder / "likeness.db").read_bytes()


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, empty: bytes, tmp_path: Path) -> Iterator[Database]:
    """Every query is tested on both."""
    if request.param == "sqlite":
        (tmp_path / "likeness.db").write_bytes(empty)
        url = f"sqlite:///{tmp_path / 'likeness.db'}"
    else:
        url = request.getfixturevalue("fleet_database")
    database = Database(url)
    yield database
    database.close()


@pytest.fixture
def new_generation(database: Database) -> Callable[..., str]:
    """Accept a generation of five avatars; `lite` unless said otherwise."""

    def make(name: str, owner: str = "anna", tier: str = "lite", lives_s: float = 3600.0) -> str:
        slot = database.write(quota.reserve, owner, 100, 60.0)
        now = database.read(clock)
        new = NewGeneration(
            id=name,
            owner=owner,
            tier=tier,  # type: ignore[arg-type]
            seed=1,
            styles=("comic",),
            photo_results=[PhotoResult(index, accepted=True) for index in range(3)],
            looks=[("comic", f"look{index}") for index in range(5)],
            consent="1",
            photos=[NewPhoto(f"photos/{name}/{index}", "00", 1.0) for index in range(3)],
            keys=[NewKey("photo", "kept", b"wrapped photo key"), NewKey("avatar", "kept", b"wrapped avatar key")],
            slot=slot,
            photos_until=now + lives_s,
            avatars_until=now + lives_s + 300,
        )
        database.write(quota.use, slot, name)
        database.write(generations.accept, new, SETTINGS)
        return name

    return make


@pytest.fixture
def worker(database: Database) -> str:
    database.write(workers.register, "worker-1", "here", is_dead=lambda _: True)
    return "worker-1"
