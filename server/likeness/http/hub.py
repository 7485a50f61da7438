"""The one reader of events in a process: it looks for new ones and hands them to all streams of their generations."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, Final

from likeness.records.events import Event, existing, last_event_id, new_events

# Streams hear of an event at most so late; the database is read so often, however many streams there are.
EVERY_S: Final = 0.15
TURNS_BETWEEN_CHECKS: Final = 100
# On PostgreSQL a smaller id may be committed after a larger one: ids that were passed over are looked for until no
# transaction that could hold them is left (`idle_in_transaction_session_timeout`), and then were undone.
GAPS_LIVE_S: Final = 30.0
MOST_GAPS: Final = 500
logger = logging.getLogger(__name__)
Inbox = asyncio.Queue[Event | None]


class Hub:
    """Fans events out; None in an inbox ends its stream. Reads nothing while nobody listens."""

    def __init__(self, read: Callable[..., Awaitable[Any]]) -> None:
        self._read = read
        self._inboxes: defaultdict[str, set[Inbox]] = defaultdict(set)
        self._wanted = asyncio.Event()
        self.reading = asyncio.Event()  # set once every event from now on comes to the inboxes
        self._last: int | None = None
        self._gaps: dict[int, float] = {}  # ids that were passed over, and until when they are looked for
        self._task: asyncio.Task[None] | None = None
        self.stopping = False

    async def start(self) -> None:
        """Begin to read."""
        self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        """End all streams and stop reading."""
        self.end_streams()
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    def end_streams(self) -> None:
        """Let every stream end; clients come back with their last event's number."""
        self.stopping = True
        for inboxes in self._inboxes.values():
            for inbox in inboxes:
                inbox.put_nowait(None)

    @contextlib.contextmanager
    def listen(self, generation: str) -> Iterator[Inbox]:
        """An inbox of a generation's events from now on."""
        inbox: Inbox = asyncio.Queue()
        self._inboxes[generation].add(inbox)
        self._wanted.set()
        if self.stopping:
            inbox.put_nowait(None)
        try:
            yield inbox
        finally:
            self._inboxes[generation].discard(inbox)
            if not self._inboxes[generation]:
                del self._inboxes[generation]
            if not self._inboxes:
                self._wanted.clear()

    async def _run(self) -> None:
        turn = 0
        while True:
            await self._wanted.wait()
            turn += 1
            try:
                await self._turn()
                if turn % TURNS_BETWEEN_CHECKS == 0:
                    await self._end_forgotten()
            except Exception:
                logger.exception("Events could not be read; trying again.")
            if not self._wanted.is_set():
                self._last = None
                self.reading.clear()
            await asyncio.sleep(EVERY_S)

    async def _turn(self) -> None:
        if self._last is None:
            # Whoever listens reads the stored events after this: so none falls in between.
            self._last = last = int(await self._read(last_event_id))
            self._gaps = self._passed_over(max(0, last - MOST_GAPS), last + 1)
            self.reading.set()
            return
        now = time.monotonic()
        self._gaps = {number: until for number, until in self._gaps.items() if until > now}
        for event in await self._read(new_events, self._last, list(self._gaps)):
            self._hand_out(event)

    def _hand_out(self, event: Event) -> None:
        assert self._last is not None
        self._gaps.pop(event.id, None)
        self._gaps |= self._passed_over(self._last, event.id)
        self._last = max(self._last, event.id)
        for inbox in self._inboxes.get(event.generation, ()):
            inbox.put_nowait(event)

    def _passed_over(self, last: int, found: int) -> dict[int, float]:
        until = time.monotonic() + GAPS_LIVE_S
        return dict.fromkeys(range(max(last + 1, found - MOST_GAPS), found), until)

    async def _end_forgotten(self) -> None:
        """End the streams of generations that were forgotten, with all their events, while somebody listened."""
        listened = list(self._inboxes)
        for generation in set(listened) - await self._read(existing, listened):
            for inbox in self._inboxes.get(generation, ()):
                inbox.put_nowait(None)
