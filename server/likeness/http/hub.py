"""The one reader of events in a process: it looks for new ones and hands them to all streams of their generations."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, Final

from likeness.records.events import Event, last_event_id, new_events

# Streams hear of an event at most so late; the database is read so often, however many streams there are.
EVERY_S: Final = 0.15
logger = logging.getLogger(__name__)
Inbox = asyncio.Queue[Event | None]


class Hub:
    """Fans events out; None in an inbox means that the server is stopping. Reads nothing while nobody listens."""

    def __init__(self, read: Callable[..., Awaitable[Any]]) -> None:
        self._read = read
        self._inboxes: defaultdict[str, set[Inbox]] = defaultdict(set)
        self._wanted = asyncio.Event()
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
        last = None
        while True:
            if not self._wanted.is_set():
                last = None
                await self._wanted.wait()
            try:
                # Whoever listens reads the stored events itself: those before this moment are nobody's loss.
                last = await self._read(last_event_id) if last is None else await self._hand_out(last)
            except Exception:
                logger.exception("Events could not be read; trying again.")
            await asyncio.sleep(EVERY_S)

    async def _hand_out(self, last: int) -> int:
        events: list[Event] = await self._read(new_events, last)
        for event in events:
            for inbox in self._inboxes.get(event.generation, ()):
                inbox.put_nowait(event)
        return events[-1].id if events else last
