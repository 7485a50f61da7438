"""What a fleet does when parts die, hang, stop, lie or disagree: short forms of what `make faults` runs at length."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.faults import kills, scenarios
from tests.faults.fleets import new_secret, photos_of_a_person, running_fleet
from tests.faults.load import Platform, Users
from tests.fleet import Fleet, headers
from tests.patience import patience_s
from tests.postgres import Postgres
from tests.s3 import S3Server

LEASE_S = 3.0  # on a quiet machine
Start = Callable[..., Fleet]


@pytest.fixture(scope="module")
def photos() -> list[bytes]:
    return photos_of_a_person()


@pytest.fixture
def start(tmp_path: Path, postgres: Postgres, migrated: str, s3: S3Server) -> Iterator[Start]:
    """Starts a fleet of so many nodes and workers on the servers of all tests."""
    fleets: list[Fleet] = []

    def make(nodes: int = 1, workers: int = 1, **settings: Any) -> Fleet:
        given = {"avatars": 6, "lease_s": patience_s(LEASE_S), "photos_after_lite_s": 0, **settings}
        fleet = Fleet(tmp_path / "fleet", postgres, migrated, s3, **given)
        fleets.append(fleet)
        for _ in range(nodes):
            fleet.node()
        for _ in range(workers):
            fleet.worker()
        return fleet

    yield make
    s3.heal()
    for fleet in fleets:
        fleet.close()


@pytest.fixture(scope="module")
def shared(
    tmp_path_factory: pytest.TempPathFactory, postgres: Postgres, migrated: str, s3: S3Server
) -> Iterator[Fleet]:
    """Three nodes and a worker for tests that kill none of them."""
    folder = tmp_path_factory.mktemp("shared") / "fleet"
    fleet = Fleet(folder, postgres, migrated, s3, step_ms=40, avatars=6, quota_lite=1, photos_after_lite_s=0)
    for _ in range(3):
        fleet.node()
    fleet.worker()
    yield fleet
    fleet.close()


def check_whole(fleet: Fleet, location: str) -> None:
    """Done, every avatar stored and told of once."""
    fleet.until(lambda: scenarios.ended(fleet, [location]))
    assert scenarios.state(fleet, location) == "done", fleet.logs()
    assert set(scenarios.avatars_told(fleet, location).values()) == {1}
    name = location.rsplit("/", 1)[1]
    rows = fleet.rows(f"SELECT state, object FROM avatars WHERE generation = '{name}'")
    assert {state for state, _ in rows} == {"ready"}
    assert {name for _, name in rows} <= set(fleet.home.objects())


def test_random_kills_lose_nothing(tmp_path: Path, photos: list[bytes]) -> None:
    secret = new_secret()
    platform = Platform(secret).start()
    hooks = {"webhook_url": platform.url, "webhook_secret": secret, "webhook_private": "true"}
    with running_fleet(
        tmp_path / "fleet", nodes=2, workers=2, step_ms=60, avatars=6, photos_after_lite_s=1, **hooks
    ) as fleet:
        found = kills.kill_at_random(fleet, photos, platform, uploads=16, kills=5, pause_s=1.5, seed=3)
    platform.close()
    assert (found.accepted, found.lost, found.drawn_again, found.problems) == (16, [], 0, [])
    assert found.not_told == 0


def test_a_stopped_worker_is_replaced_and_can_write_nothing(start: Start, photos: list[bytes]) -> None:
    fleet = start(workers=2, step_ms=700, steps=6)
    location = scenarios.upload(fleet, photos, headers("ann"))
    fleet.until(lambda: scenarios.state(fleet, location) == "rendering")
    stopped = fleet.holder(location)
    stopped.signal(signal.SIGSTOP)
    fleet.until(lambda: scenarios.fences(fleet, [location]) == [2])
    stopped.signal(signal.SIGCONT)
    assert stopped.wait() != 0
    assert "was declared dead" in stopped.log.read_text()
    check_whole(fleet, location)
    assert scenarios.fences(fleet, [location]) == [2]


def test_a_worker_that_hangs_ends_itself(start: Start, photos: list[bytes]) -> None:
    fleet = start(workers=1, step_ms=100, step_most_s=patience_s(3))
    worker = fleet.workers[0]
    worker.hang.touch()
    location = scenarios.upload(fleet, photos, headers("ann"))
    assert worker.wait() == 1
    assert "this worker hangs" in worker.log.read_text()
    worker.hang.unlink()
    worker.start()
    check_whole(fleet, location)


def test_a_worker_that_is_killed_leaves_its_work_to_the_next(start: Start, photos: list[bytes]) -> None:
    fleet = start(workers=1, step_ms=500)
    location = scenarios.upload(fleet, photos, headers("ann"))
    fleet.until(lambda: scenarios.state(fleet, location) == "rendering")
    fleet.workers[0].kill()
    fleet.worker()
    check_whole(fleet, location)


def test_a_rolling_restart_loses_nothing_and_counts_no_attempt(start: Start, photos: list[bytes]) -> None:
    fleet = start(nodes=2, workers=2, step_ms=150, steps=4)
    users = Users(fleet, photos, 10, threads=3).start()
    for node in fleet.nodes:
        assert node.stop() == 0
        node.start(ready=False)
    for worker in fleet.workers:
        assert worker.stop() == 0
        worker.start()
    fleet.until(lambda: not users.busy)
    fleet.until(lambda: scenarios.ended(fleet, [f"/{each}" for each in users.accepted]))
    assert len(users.accepted) == 10
    assert fleet.rows("SELECT DISTINCT state, attempts FROM generations") == [("done", 0)]


def test_long_jobs_are_nobody_elses(start: Start, photos: list[bytes]) -> None:
    lease_s = patience_s(LEASE_S)
    fleet = start(workers=2, lease_s=lease_s, step_ms=500 * lease_s, steps=4, generations_at_once=8)  # two leases long
    locations = [scenarios.upload(fleet, photos, headers(f"user-{number}")) for number in range(6)]
    fleet.until(lambda: scenarios.ended(fleet, locations))
    assert set(scenarios.fences(fleet, locations)) == {1}


def test_an_outage_of_the_database_declares_nobody_dead(tmp_path: Path, photos: list[bytes]) -> None:
    lease_s = patience_s(LEASE_S)
    with running_fleet(
        tmp_path / "fleet", nodes=1, workers=2, step_ms=500, steps=4, avatars=6, lease_s=lease_s
    ) as fleet:
        locations = [scenarios.upload(fleet, photos, headers(f"user-{number}")) for number in range(3)]
        fleet.until(lambda: scenarios.state(fleet, locations[0]) == "rendering")
        fleet.postgres.stop("immediate")
        time.sleep(2 * lease_s)
        fleet.postgres.start()
        for location in locations:
            check_whole(fleet, location)
        assert fleet.one("SELECT count(*) FROM workers WHERE ended_at IS NOT NULL") == 0
        assert set(scenarios.fences(fleet, locations)) == {1}, fleet.logs()


@pytest.mark.parametrize("fault", ["fail", "stall", "lose"])
def test_a_store_that_errs_stalls_or_loses(shared: Fleet, photos: list[bytes], s3: S3Server, fault: str) -> None:
    fleet = shared
    if fault == "lose":
        s3.lose("avatars/", times=2)
    elif fault == "stall":
        s3.stall(4.0, lambda call: call.method == "PUT" and call.name.startswith("avatars/"))
    else:
        s3.fail(lambda call: call.name.startswith("avatars/"))
    location = scenarios.upload(fleet, photos, headers("ann"))
    if fault == "lose":
        fleet.until(lambda: scenarios.ended(fleet, [location]))
        assert scenarios.fences(fleet, [location]) == [2]  # two were drawn again
        name = location.rsplit("/", 1)[1]
        stored = fleet.rows(f"SELECT object FROM avatars WHERE generation = '{name}' AND state = 'ready'")
        assert len(stored) == 6
        assert {name for (name,) in stored} <= set(fleet.home.objects())
        return
    fleet.until(lambda: "Could not store" in fleet.logs() or fault == "stall")
    s3.heal()
    check_whole(fleet, location)
    assert scenarios.fences(fleet, [location]) == [1]  # an outage is no attempt


@pytest.fixture(autouse=True)
def _healed(s3: S3Server) -> Iterator[None]:
    yield
    s3.heal()


@pytest.fixture(scope="module")
def clock_off(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library that puts wall clocks wrong."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler is installed (Debian: gcc)")
    library = tmp_path_factory.mktemp("clock") / "clock_off.so"
    source = Path(__file__).parent / "clock_off.c"
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", str(library), str(source), "-ldl"], check=True)
    return library


@pytest.mark.parametrize("off_s", [300, -300])
def test_a_clock_that_is_off_by_five_minutes(start: Start, photos: list[bytes], clock_off: Path, off_s: int) -> None:
    fleet = start(nodes=1, workers=0)
    wrong = ("env", f"LD_PRELOAD={clock_off}", f"CLOCK_OFF_S={off_s}")
    fleet.worker(*wrong)
    told = subprocess.run(
        [*wrong, sys.executable, "-c", "import time; print(time.time())"], check=True, capture_output=True
    )
    assert abs(float(told.stdout) - time.time() - off_s) < 60  # the clock is wrong indeed
    location = scenarios.upload(fleet, photos, headers("ann"))
    check_whole(fleet, location)
    fleet.until(lambda: fleet.one("SELECT count(*) FROM audit WHERE kind = 'photos'") == 1)
    assert max(kills.lateness(fleet)["plus"]) < patience_s(30)
    assert fleet.one("SELECT count(*) FROM workers WHERE ended_at IS NOT NULL") == 0


def test_one_user_at_once_over_three_nodes(shared: Fleet, photos: list[bytes]) -> None:
    statuses = scenarios.simultaneous(shared, photos, 60, headers("one user", "lite"))
    assert statuses == {202: 1, 429: 59}
    assert shared.one("SELECT count(*) FROM generations WHERE tier = 'lite'") == 1


def test_replays_and_streams_over_nodes(shared: Fleet, photos: list[bytes]) -> None:
    assert scenarios.replays(shared, photos, 12) == (1, 1)
    found = scenarios.reconnects(shared, photos, 20)
    assert found["ends"] == found["generations"]
    assert (found["lost"], found["doubled"]) == (0, 0)


def test_two_versions_side_by_side(shared: Fleet, photos: list[bytes]) -> None:
    fleet = shared
    with psycopg.connect(str(fleet.home.settings["database"])) as connection:  # as a later version's upgrade does
        connection.execute("ALTER TABLE generations ADD COLUMN mood text DEFAULT 'bright'")
        connection.execute("CREATE TABLE moods (name text PRIMARY KEY)")
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    location = scenarios.upload(fleet, photos, headers("ann"))
    check_whole(fleet, location)
    fleet.node()  # one more of this version, beside the later one
    fleet.worker()
    check_whole(fleet, scenarios.upload(fleet, photos, headers("ben"), node=3))


def test_a_cancelled_generation_leaves_at_the_next_step(start: Start, photos: list[bytes]) -> None:
    fleet = start(workers=1, step_ms=400, steps=50, generations_at_once=1)
    seconds = scenarios.cancels(fleet, photos, 2)
    assert max(seconds) < patience_s(30)  # the goal is for `make faults`; here that it happens
