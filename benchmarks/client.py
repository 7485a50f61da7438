"""A client of a started server: uploads, follows the events, asks; every moment on one clock of this process."""

from __future__ import annotations

import datetime
import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, TypeVar

import httpx
import msgspec

from benchmarks.server import Server
from benchmarks.uploads import Form

T = TypeVar("T")
TIMEOUT_S: Final = 600
ACCEPTED: Final = 202
ENDS: Final = ("done", "failed", "cancelled")


class Trip(msgspec.Struct, frozen=True):
    """One generation as its user saw it. Times `..._s` count from the upload's first byte; `began` and `ended` are the
    server's moments of rendering, in seconds since 1970, and `first_at` is this process's.
    """

    accepted_s: float
    first_s: float
    last_s: float
    done_s: float
    avatars: int
    began: float
    ended: float
    first_at: float

    @property
    def rendering_s(self) -> float:
        """From the start of rendering to the stored end."""
        return self.ended - self.began

    @property
    def served_s(self) -> float:
        """From accepted to done."""
        return self.done_s - self.accepted_s


class Client:
    """One connection; a new user for every upload, as each has one a day."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._http = httpx.Client(base_url=server.address, timeout=TIMEOUT_S)

    def upload(self, form: Form) -> tuple[httpx.Response, dict[str, str]]:
        """Send a form; the answer, and the headers of the user who sent it."""
        headers = {"Authorization": f"Bearer {self._server.token()}"}
        kind = {"Content-Type": form.content_type}
        return self._http.post("/v1/generations", content=form.body, headers={**headers, **kind}), headers

    def queue(self, form: Form) -> tuple[str, dict[str, str]]:
        """Upload what must be accepted; the generation's path, and its user's headers."""
        response, headers = self.upload(form)
        if response.status_code != ACCEPTED:
            raise SystemExit(f"An upload got {response.status_code}: {response.text}")
        return response.headers["location"], headers

    def get(self, path: str, headers: dict[str, str]) -> dict[str, Any]:
        """The JSON at a path."""
        response = self._http.get(path, headers=headers)
        response.raise_for_status()
        return dict(response.json())

    def cancel(self, path: str, headers: dict[str, str]) -> None:
        """Cancel a generation."""
        self._http.delete(path, headers=headers).raise_for_status()

    def generate(self, form: Form) -> Trip:
        """Upload and follow to the end."""
        sent = time.perf_counter()
        path, headers = self.queue(form)
        accepted = time.perf_counter()
        return self.follow(path, headers, sent, accepted)

    def follow(self, path: str, headers: dict[str, str], sent: float, accepted: float) -> Trip:
        """Follow an accepted generation to its end; ends the program unless it is done."""
        avatars, kind, moment = [], "", sent
        for kind, moment in self._events(path, headers):
            if kind == "avatar":
                avatars.append(moment)
            if kind in ENDS:
                break
        if kind != "done":
            raise SystemExit(f"The events of a generation end with {kind!r}.")
        view = self.get(path, headers)
        return Trip(
            accepted_s=accepted - sent,
            first_s=avatars[0] - sent,
            last_s=avatars[-1] - sent,
            done_s=moment - sent,
            avatars=len(avatars),
            began=_seconds(view["started_at"]),
            ended=_seconds(view["ended_at"]),
            first_at=avatars[0],
        )

    def _events(self, path: str, headers: dict[str, str]) -> Iterator[tuple[str, float]]:
        with self._http.stream("GET", f"{path}/events", headers=headers) as response:
            response.raise_for_status()
            for line in response.iter_lines():
                if line.startswith("event: "):
                    yield line.removeprefix("event: "), time.perf_counter()


def at_once(jobs: Sequence[Callable[[], T]]) -> list[T]:
    """Run each job in a thread of its own; their results in the order of the jobs. The first failure is raised at once,
    and the threads that are left end with this process.
    """
    results: dict[int, T] = {}
    ended: queue.SimpleQueue[BaseException | None] = queue.SimpleQueue()

    def run(index: int, job: Callable[[], T]) -> None:
        try:
            results[index] = job()
        except BaseException as error:
            ended.put(error)
        else:
            ended.put(None)

    for index, job in enumerate(jobs):
        threading.Thread(target=run, args=(index, job), daemon=True).start()
    for _ in jobs:
        if (error := ended.get()) is not None:
            raise error
    return [results[index] for index in range(len(jobs))]


def in_a_loop(server: Server, form: Form, clients: int, generations: int) -> list[Trip]:
    """A closed loop: each client generates, and again when it is done, until so many generations were begun."""
    tickets: queue.SimpleQueue[int] = queue.SimpleQueue()
    for number in range(generations):
        tickets.put(number)

    def run() -> list[Trip]:
        client = Client(server)
        trips: list[Trip] = []
        while True:
            try:
                tickets.get_nowait()
            except queue.Empty:
                return trips
            trips.append(client.generate(form))

    return [trip for trips in at_once([run] * clients) for trip in trips]


def sample(asks: Sequence[Callable[[], object]], stop: threading.Event, every_s: float) -> list[list[float]]:
    """Ask by turns at a steady pace; seconds to each answer, one list an ask.

    An ask that had to wait for a late answer before it counts from when it was due.
    """
    seconds: list[list[float]] = [[] for _ in asks]
    due = answered = time.perf_counter()
    while not stop.is_set():
        for ask, times in zip(asks, seconds, strict=True):
            time.sleep(max(0.0, due - time.perf_counter()))
            began = due if answered > due else time.perf_counter()
            ask()
            answered = time.perf_counter()
            times.append(answered - began)
            due += every_s
    return seconds


def _seconds(moment: str) -> float:
    return datetime.datetime.fromisoformat(moment).timestamp()
