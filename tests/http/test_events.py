"""Server-sent events: resuming, restarts, the end of a stream, and many streams at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.http.conftest import Finished, People, alive
from tests.http.talk import parse_events, problem
from tests.serving import Server


def test_every_last_event_id_resumes_exactly(finished: Finished) -> None:
    everything = list(finished.ann.events(finished.location))
    assert everything[-1].kind == "photos_deleted"
    for last in range(len(everything)):
        assert list(finished.ann.events(finished.location, last)) == everything[last:]


def test_when_nothing_more_comes_the_client_is_told_not_to_come_back(finished: Finished) -> None:
    *_, last = finished.ann.events(finished.location)
    response = finished.ann.get(f"{finished.location}/events", headers={"Last-Event-ID": str(last.number)})
    assert (response.status_code, response.content) == (204, b"")


@pytest.mark.parametrize("last", [b"", b"0"])
def test_an_empty_last_event_is_none(finished: Finished, last: bytes) -> None:
    with finished.ann.client.stream("GET", f"{finished.location}/events", headers={"Last-Event-ID": last}) as stream:
        assert stream.status_code == 200
        assert next(stream.iter_lines()) == "id: 1"


@pytest.mark.parametrize("last", ["x", "-1", "1.5", "99", "9999999999999", "²", "0x1"])
def test_what_is_no_event_that_came_is_refused(finished: Finished, last: str) -> None:
    headers = {"Last-Event-ID": last.encode()}
    problem(finished.ann.get(f"{finished.location}/events", headers=headers), 400, "bad_request")


def test_a_stream_is_kept_by_nobody_on_the_way(finished: Finished) -> None:
    response = finished.ann.get(f"{finished.location}/events")
    assert response.headers["Cache-Control"] == "private, no-store"
    assert response.headers["X-Accel-Buffering"] == "no"


def test_many_streams_get_the_same(person: People, jpegs: list[bytes]) -> None:
    ann = person()
    location = ann.accepted(jpegs)
    people = [person(token=ann.token) for _ in range(12)]
    with ThreadPoolExecutor(12) as pool:
        streams = list(pool.map(lambda each: list(each.events(location)), people))
    assert streams[0][-1].kind == "photos_deleted"
    assert all(stream == streams[0] for stream in streams)


def test_the_streams_of_a_light_user_go_on_until_the_photos_are_gone(person: People, jpegs: list[bytes]) -> None:
    ann = person(tier="lite")
    location = ann.accepted(jpegs)
    stream = ann.events(location)
    kinds = []
    for event in stream:
        kinds.append(event.kind)
        if event.kind == "done":
            assert ann.send("DELETE", location)["status"] == "cancelled"
    assert kinds[-3:] == ["done", "cancelled", "photos_deleted"]


def test_a_restarted_server_goes_on_where_the_client_was(local: Server, person: People, jpegs: list[bytes]) -> None:
    """The stream ends with the server; after a stop or a kill, the next one tells the rest."""
    ann = person(at=local)
    location = ann.accepted(jpegs)
    for end in (local.stop, lambda: local.kill(worker=False)):
        with ann.client.stream("GET", f"{location}/events") as response:
            stream = parse_events(response.iter_lines())
            assert next(stream).kind == "queued"
            code = end()
            if end == local.stop:
                assert code == 0
                assert list(stream) == []  # ended, not broken off
        local.start(ready=False)
        local.until(lambda: alive(local))
        ann = person(at=local)
    assert ann.json(location)["status"] == "queued"
    assert ann.send("DELETE", location)["status"] == "cancelled"
    assert [(event.number, event.kind) for event in ann.events(location, 1)] == [
        (2, "cancelled"),
        (3, "photos_deleted"),
    ]
