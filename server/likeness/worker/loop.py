"""The render loop: the one thread that owns the renderer, and so lets all generations of a worker share its batch."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from typing import Final, TypeVar

import msgspec

from likeness.database import UnavailableError
from likeness.records.work import LostClaimError
from likeness_engines import Engines, Outcome, Render, Renderer

T = TypeVar("T")
# Of the sums behind `avatar_s`, at each step: it looks back about two hundred steps.
KEPT: Final = 0.995
logger = logging.getLogger(__name__)


class StoppingError(BaseException):
    """The worker is stopping: hand the generation back. No `Exception`, so that nothing takes it for a failure."""


class LoopFailedError(StoppingError):
    """The render loop died of something that it was given: the attempt counts, and the worker must end."""


class Stats(msgspec.Struct):
    """Totals since the loop started; `avatar_s` is seconds of steps an avatar, lately."""

    steps: float = 0.0
    step_s: float = 0.0
    rows: float = 0.0
    room: float = 0.0
    avatars: float = 0.0
    avatar_s: float = 0.0


class Stream:
    """One generation's place in the loop: what it submits, and its outcomes, step by step."""

    def __init__(self, loop: RenderLoop, generation: str, fence: int, turn_in_s: float) -> None:
        self.generation = generation
        self.fence = fence
        self.turn_at = time.monotonic() + turn_in_s
        self.ids: set[str] = set()  # the loop's: what it still draws
        self.outcomes: queue.SimpleQueue[list[Outcome] | BaseException] = queue.SimpleQueue()
        self._loop = loop
        self._awaited = 0

    def submit(self, renders: Sequence[Render]) -> None:
        """Let renders join at the next step."""
        self._loop.do(lambda: self._loop.join(self, renders))
        self._awaited += len(renders)

    def __iter__(self) -> Iterator[list[Outcome]]:
        """The outcomes of each step that ended some; raises LostClaimError or StoppingError."""
        while self._awaited:
            found = self.outcomes.get()
            if isinstance(found, BaseException):
                raise found
            self._awaited -= len(found)
            yield found


class RenderLoop:
    """Steps while there is something to draw, and between two steps does what the threads of generations ask.

    `held` tells which (generation, fence) claims still hold; it is asked before every step.
    """

    def __init__(self, engines: Engines, held: Callable[[list[tuple[str, int]]], set[str]]) -> None:
        self.stats = Stats()
        self._renderer = Renderer(engines)
        self._room = engines.max_rows
        self._held = held
        self._mail: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._streams: dict[str, Stream] = {}
        self._busy_since: float | None = None
        self._lately = Stats()
        self.stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="render-loop", daemon=True)

    def start(self) -> None:
        """Begin to wait for renders."""
        self._thread.start()

    def stop(self) -> None:
        """Finish the step, then raise StoppingError in every stream."""
        self.stopping.set()
        self._mail.put(lambda: None)
        self._thread.join()

    @property
    def alive(self) -> bool:
        """False when the loop has died; a worker without one must end."""
        return self._thread.is_alive()

    @property
    def busy_s(self) -> float:
        """Seconds that the step, or the job between two, under way has taken so far."""
        since = self._busy_since
        return 0.0 if since is None else time.monotonic() - since

    def do(self, job: Callable[[], T]) -> T:
        """Run a job on the loop's thread, between two steps: the engines are used from that thread alone."""
        future: Future[T] = Future()

        def run() -> None:
            try:
                future.set_result(job())
            except BaseException as error:  # it belongs to the thread that asked
                future.set_exception(error)

        self._mail.put(run)
        while True:
            try:
                return future.result(timeout=1.0)
            except TimeoutError:
                if not self.alive:
                    raise self._end() from None

    def open(self, generation: str, fence: int, turn_in_s: float = 0.0) -> Stream:
        """A generation's stream, drawn before nobody else's once its turn has come; `close` it however it ends."""
        stream = Stream(self, generation, fence, turn_in_s)
        self.do(lambda: self._streams.__setitem__(generation, stream))
        return stream

    def close(self, stream: Stream) -> None:
        """Forget a stream and what it still draws."""
        if self.alive:
            self.do(lambda: self._drop(stream))

    def join(self, stream: Stream, renders: Sequence[Render]) -> None:
        """On the loop's thread: submit a stream's renders."""
        for render in renders:
            self._renderer.submit(render)
            stream.ids.add(render.id)

    def _run(self) -> None:
        try:
            while not self.stopping.is_set():
                self._do_mail()
                self._drop_lost()
                self._promote()
                self._step()
                self._busy_since = None
        except Exception:
            logger.exception("The render loop failed.")
        finally:
            for stream in self._streams.values():
                stream.outcomes.put(self._end())

    def _end(self) -> StoppingError:
        return StoppingError() if self.stopping.is_set() else LoopFailedError()

    def _do_mail(self) -> None:
        """Do all that was asked; with nothing to draw, wait for something."""
        first = None if self._renderer.busy else self._mail.get()
        self._busy_since = time.monotonic()
        if first is not None:
            first()
        while not self._mail.empty():
            self._mail.get()()

    def _drop_lost(self) -> None:
        claims = [(stream.generation, stream.fence) for stream in self._streams.values() if stream.ids]
        if not claims:
            return
        try:
            held = self._held(claims)
        except UnavailableError:
            return  # the database does not answer: draw on, nothing can be stored without a claim
        for stream in list(self._streams.values()):
            if stream.ids and stream.generation not in held:
                stream.outcomes.put(LostClaimError(stream.generation))
                self._drop(stream)

    def _promote(self) -> None:
        """Let those that have given way for long enough be drawn like any other."""
        now = time.monotonic()
        for stream in self._streams.values():
            if stream.turn_at <= now:
                self._renderer.promote(stream.generation)

    def _step(self) -> None:
        if not self._renderer.busy:
            return
        started = time.perf_counter()
        outcomes = self._renderer.step()
        self._measure(time.perf_counter() - started, len(outcomes))
        for stream in self._streams.values():
            mine = [outcome for outcome in outcomes if outcome.id in stream.ids]
            if mine:
                stream.ids.difference_update(outcome.id for outcome in mine)
                stream.outcomes.put(mine)

    def _drop(self, stream: Stream) -> None:
        for render in stream.ids:
            self._renderer.cancel(render)
        stream.ids.clear()
        self._streams.pop(stream.generation, None)

    def _measure(self, step_s: float, avatars: int) -> None:
        stats = self.stats
        stats.steps += 1
        stats.step_s += step_s
        stats.rows += self._renderer.rows
        stats.room += self._room
        stats.avatars += avatars
        lately = self._lately
        lately.step_s = KEPT * lately.step_s + step_s
        lately.avatars = KEPT * lately.avatars + avatars
        if lately.avatars > 0:
            stats.avatar_s = lately.step_s / lately.avatars
