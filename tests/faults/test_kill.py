"""SIGKILL at any moment loses no accepted generation, and draws no stored avatar twice."""

from __future__ import annotations

import os
import resource
import signal
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.serving import Server

AVATARS = 25  # more than fit into one batch, so that some are stored while others wait
TRIES = 20


@pytest.fixture
def jpegs(photos: list[Path]) -> list[bytes]:
    return [path.read_bytes() for path in photos]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path / "data", avatars=AVATARS, steps=3, quota_lite=100, photos_after_lite_s=0)
    yield server
    server.close()


def drawn(server: Server, generation: str, at_least: int) -> bool:
    return bool(server.generation(generation)["progress"]["drawn"] >= at_least)


def stopped_amid(server: Server, jpegs: list[bytes], at_least: int) -> tuple[str, int]:
    """A generation with so many avatars drawn and not all, and its worker, which is stopped (SIGSTOP).

    One that ended before the stop came is let be, and the next is tried.
    """
    for _ in range(TRIES):
        generation = server.accepted(jpegs)
        server.until(lambda: begun(server, generation, at_least))  # noqa: B023
        worker = server.until(lambda: server.worker_pid)
        os.kill(worker, signal.SIGSTOP)
        if begun(server, generation, at_least) == "rendering" and not drawn(server, generation, AVATARS):
            return generation, worker
        os.kill(worker, signal.SIGCONT)
        server.until(lambda: ended(server, generation))  # noqa: B023
    raise AssertionError(f"{TRIES} generations were drawn before their worker could be stopped")


def begun(server: Server, generation: str, at_least: int) -> str | None:
    """The status of a generation that waits no longer and has so many avatars drawn."""
    status = str(server.generation(generation)["status"])
    return status if status != "queued" and drawn(server, generation, at_least) else None


def ended(server: Server, generation: str) -> dict[str, Any] | None:
    found = server.generation(generation)
    return found if found["ended_at"] and found["deadlines"]["photos_deleted_at"] else None


def rows(server: Server, query: str, *values: str) -> list[Any]:
    """Ask the database itself; the server is stopped or does not mind."""
    with closing(sqlite3.connect(server.data / "likeness.db")) as connection:
        return connection.execute(query, values).fetchall()


def objects(server: Server) -> list[str]:
    """The names of all objects in the store."""
    folder = server.data / "objects"
    return [str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()]


def check_whole(server: Server, generation: str) -> None:
    """Done; one event an avatar; numbers without gaps; every image is there, and nothing else is."""
    found = server.until(lambda: ended(server, generation))
    assert found["status"] == "done"
    assert {avatar["state"] for avatar in found["avatars"]} == {"ready"}
    events = list(server.events(generation))
    assert [number for number, _, _ in events] == list(range(1, len(events) + 1))
    kinds = Counter(kind for _, kind, _ in events)
    assert kinds["avatar"] == AVATARS
    assert kinds["done"] == kinds["photos_deleted"] == 1
    assert sorted(data["index"] for _, kind, data in events if kind == "avatar") == list(range(AVATARS))
    for avatar in found["avatars"]:
        assert server.client.get(avatar["url"]).status_code == 200
    named = {name for (name,) in rows(server, "SELECT object FROM avatars WHERE generation = ?", generation)}
    stored = set(objects(server))
    assert named <= stored
    assert not [name for name in stored if name.startswith(("photos/", "uploads/"))]


@pytest.mark.parametrize(
    ("worker", "api", "moment"),
    [(True, False, 0), (True, False, 3), (False, True, 1), (True, True, 0), (True, True, 3)],
)
def test_killed_while_drawing(server: Server, jpegs: list[bytes], worker: bool, api: bool, moment: int) -> None:
    server.start()
    generation, pid = stopped_amid(server, jpegs, moment)
    server.kill(worker=worker, server=api)
    if not worker:
        os.kill(pid, signal.SIGCONT)  # and it finds that its server is gone
    if api:
        server.start()
    check_whole(server, generation)


def test_killed_while_uploading(server: Server, jpegs: list[bytes]) -> None:
    server._settings["LIKENESS_QUOTA_LITE"] = "1"
    server.start()

    def half() -> Iterator[bytes]:
        head = b'--x\r\nContent-Disposition: form-data; name="photos"; filename="a.jpg"\r\n\r\n'
        yield head + jpegs[0] * 20
        server.until(lambda: rows(server, "SELECT state FROM quota") == [("reserved",)])
        server.kill()
        yield b"more"

    with pytest.raises(Exception, match=r"."):
        server.client.post(
            "/v1/generations", content=half(), headers={"Content-Type": "multipart/form-data; boundary=x"}
        )
    server.start()
    assert server.client.get("/v1/quota").json()["remaining"] == 1
    check_whole(server, server.accepted(jpegs))


def test_a_graceful_stop_hands_the_work_back_and_counts_no_attempt(server: Server, jpegs: list[bytes]) -> None:
    server._settings |= {"LIKENESS_ATTEMPTS": "1", "LIKENESS_STEPS": "20"}  # long enough to be stopped amid it
    server.start()
    generation = server.accepted(jpegs)
    server.until(lambda: drawn(server, generation, 1))
    assert server.stop() == 0
    [(state, attempts, worker)] = rows(server, "SELECT state, attempts, worker FROM generations")
    assert (state, attempts, worker) == ("rendering", 0, None)
    server._settings["LIKENESS_STEPS"] = "3"
    server.start()
    check_whole(server, generation)


def test_the_last_failed_attempt_ends_it_with_a_refund(server: Server, jpegs: list[bytes]) -> None:
    server._settings |= {"LIKENESS_ATTEMPTS": "2", "LIKENESS_QUOTA_LITE": "1", "LIKENESS_STEPS": "50"}
    server.start()
    generation = server.accepted(jpegs)
    for attempt in (1, 2):
        server.until(lambda: rows(server, "SELECT attempts FROM generations") == [(attempt,)])  # noqa: B023
        server.kill(server=False)
    found = server.until(lambda: ended(server, generation))
    assert (found["status"], found["reason"]) == ("failed", "gave_up")
    assert server.client.get("/v1/quota").json()["remaining"] == 1
    assert not [name for name in objects(server) if name.startswith("photos/")]


@contextmanager
def most_bytes_a_file(pid: int, most: int) -> Iterator[None]:
    """As on a disk without room: no file of a process grows beyond this."""
    before = resource.prlimit(pid, resource.RLIMIT_FSIZE, (most, resource.RLIM_INFINITY))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("most", [0, 100_000])
def test_a_full_disk_refuses_uploads_until_there_is_room(server: Server, jpegs: list[bytes], most: int) -> None:
    server._options = ("--no-worker",)
    server.start(ready=False)
    server.accepted(jpegs)
    before = objects(server)
    with most_bytes_a_file(server.pid, most):
        answer = server.upload(jpegs)
        assert answer.status_code == 503
        assert answer.json()["code"] in ("storage_unavailable", "database_unavailable")
        assert answer.headers["Retry-After"]
    server.until(lambda: objects(server) == before)
    server.accepted(jpegs)


def test_a_stopped_server_frees_its_folder_and_a_second_one_is_refused(server: Server, tmp_path: Path) -> None:
    server.start()
    second = Server(server.data)
    with pytest.raises(AssertionError, match="Another server uses the data folder"):
        second.start()
    second.client.close()
