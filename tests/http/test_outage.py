"""A database or a store of objects that is gone for a while: said plainly, nothing half done, and all goes on after."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from likeness.database import Database
from likeness.settings import Settings
from likeness.worker import jobs
from tests.fleet import own_postgres
from tests.homes import FleetHome
from tests.http.conftest import People, started
from tests.http.talk import ISSUER, SECRET, Person, problem, stored
from tests.postgres import Postgres, find_binaries
from tests.s3 import S3Server
from tests.serving import Server


@pytest.fixture(scope="module")
def own() -> Iterator[Postgres]:
    """A PostgreSQL server that these tests stop."""
    binaries = find_binaries()
    if binaries is None:
        pytest.skip("no PostgreSQL server is installed (Debian: apt-get install postgresql)")
    with own_postgres(binaries) as postgres:
        yield postgres


@pytest.fixture(scope="module")
def fleet(own: Postgres, s3: S3Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A node without a worker."""
    settings = Settings(database=own.create(), keys="elsewhere")
    database = Database(settings.database_url)
    database.migrate()
    database.close()
    jobs.migrate(settings)
    home = FleetHome(own, settings.database.rsplit("/", 1)[1], s3)
    folder = tmp_path_factory.mktemp("outage") / "data"
    yield from started(folder, "--no-worker", home=home, jwt_issuer=ISSUER, jwt_secret=SECRET, quota_plus=3)


def test_a_database_that_is_gone_and_comes_back(
    fleet: Server, own: Postgres, person: People, jpegs: list[bytes]
) -> None:
    ann = person(at=fleet)
    location = ann.accepted(jpegs)
    own.stop("immediate")
    try:
        for answer in (ann.get("/v1/quota"), ann.get(location), ann.upload(jpegs)):
            problem(answer, 503, "database_unavailable")
            assert answer.headers["Retry-After"] == "5"
        ready = ann.get("/health/ready")
        assert ready.status_code == 503
        assert "The database does not answer." in ready.json()["problems"]
        assert ann.get("/health/live").status_code == 200
    finally:
        own.start()
    fleet.until(lambda: ann.get("/v1/quota").status_code == 200)
    assert ann.json(location)["status"] == "queued"
    assert ann.remaining() == 2


def test_a_store_that_is_gone_and_comes_back(fleet: Server, s3: S3Server, person: People, jpegs: list[bytes]) -> None:
    ann = person(at=fleet)
    before = stored(fleet)
    with s3.fail(lambda call: call.method == "PUT" and call.name.startswith(("uploads/", "photos/"))):
        answer = ann.upload(jpegs)
    problem(answer, 503, "storage_unavailable")
    assert answer.headers["Retry-After"]
    assert ann.remaining() == 3
    assert stored(fleet) == before
    assert ann.accepted(jpegs)


def test_a_crop_that_the_store_lost_is_noticed_before_anything_is_promised(
    fleet: Server, s3: S3Server, person: People, jpegs: list[bytes]
) -> None:
    ann: Person = person(at=fleet)
    before = stored(fleet)
    with s3.lose("photos/"):
        problem(ann.upload(jpegs), 503, "storage_unavailable")
    assert ann.remaining() == 3
    assert stored(fleet) == before
    assert ann.accepted(jpegs)


def test_a_fleet_does_not_start_on_old_tables(own: Postgres, s3: S3Server, tmp_path: Path) -> None:
    home = FleetHome(own, "template0", s3)
    server = Server(tmp_path / "data", "--no-worker", home=home)
    with pytest.raises(AssertionError, match="likeness database upgrade"):
        server.start()
    server.client.close()


def test_a_fleet_does_not_start_on_a_bucket_that_keeps_versions(fleet: Server, s3: S3Server, tmp_path: Path) -> None:
    kept = {"objects": s3.bucket(versioned=True)}
    server = Server(tmp_path / "data", "--no-worker", home=fleet.home, **kept)
    with pytest.raises(AssertionError, match=r"(?i)version"):
        server.start()
    server.client.close()
