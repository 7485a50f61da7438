"""A generation's events as server-sent events: the stored ones first, then the new, to the last one due."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Final

from likeness.http.links import add_base
from likeness.http.service import Service
from likeness.records.events import ENDS, Event, events_after
from likeness.refusals import InputError

PING_S: Final = 15.0
PING: Final = b": still here\n\n"


async def check_last_event(service: Service, generation: str, header: str | None) -> int:
    """The number that a client has seen last, 0 for no header or an empty one; raises InputError when there is no such
    event.
    """
    header = (header or "").strip()
    if not header:
        return 0
    if not header.isascii() or not header.isdigit() or len(header) > 9:
        raise InputError("Last-Event-ID is no number. Send the id of the last event that came, or leave it out.")
    stored = await service.read(events_after, generation, 0)
    last = stored[-1].number if stored else 0
    if int(header) > last:
        raise InputError(f"There is no event {header} yet; the last one is {last}. Send the id of one that came.")
    return int(header)


async def follow(service: Service, generation: str, seen: int, base: str) -> AsyncIterator[bytes]:
    """Encoded events after `seen`, their links below a base path; ends once the generation has ended and its photos are
    deleted.
    """
    with service.hub.listen(generation) as inbox:
        await service.hub.reading.wait()
        kinds = set()
        for event in await service.read(events_after, generation, 0):
            kinds.add(event.kind)
            if event.number > seen:
                seen = event.number
                yield encode_event(event, base)
        while not finished(kinds):
            try:
                async with asyncio.timeout(PING_S):
                    new = await inbox.get()
            except TimeoutError:
                yield PING
                continue
            if new is None:  # the server is stopping, or the generation is forgotten
                return
            # One that was committed late is behind the others in the inbox, but in its place in the database.
            late = new.number > seen + 1
            for event in await service.read(events_after, generation, seen) if late else [new]:
                if event.number > seen:
                    kinds.add(event.kind)
                    seen = event.number
                    yield encode_event(event, base)


def finished(kinds: set[str]) -> bool:
    """Whether nothing is due any more: it ended, and its photos are gone."""
    return "photos_deleted" in kinds and not kinds.isdisjoint(ENDS)


def encode_event(event: Event, base: str) -> bytes:
    """One event in the text/event-stream format; `data` is one line of JSON."""
    return f"id: {event.number}\nevent: {event.kind}\ndata: ".encode() + add_base(event.data, base) + b"\n\n"
