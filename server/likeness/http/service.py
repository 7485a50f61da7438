"""What the routes work with: opened when the server starts, closed when it ends."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Concatenate, Final, ParamSpec, TypeVar

import sqlalchemy as sa

from likeness.http.announcer import Announcer
from likeness.http.hub import Hub
from likeness.intake import DecoderLimits, Decoders
from likeness.packs import crop_side, describe_model_pack, load_catalogue
from likeness.provenance import open_marker
from likeness.records import deadlines, idempotency, quota
from likeness.retention import Sweeper, sweep
from likeness.safe import Safe
from likeness.settings import Settings
from likeness.style_packs import Shelf
from likeness.webhooks import Sender
from likeness.worker.jobs import JobClient
from likeness_plugins import Catalogue

P = ParamSpec("P")
T = TypeVar("T")
# As many as the database has connections: more would only wait for one.
THREADS: Final = 8
# What an upload holds, its slot and its Idempotency-Key, is free again so long after its server has died.
HELD_S: Final = 45.0
logger = logging.getLogger(__name__)


class Service:
    """Store, styles, queue, decoders and events; everything that blocks runs in its threads."""

    def __init__(self, settings: Settings, safe: Safe) -> None:
        self.settings = settings
        self.safe = safe
        self.secret = safe.keyring.secret("server")
        self.marker = open_marker(settings.c2pa_certificate, settings.c2pa_key, safe.key_store)
        self.jobs = JobClient(settings)
        model = describe_model_pack(Path(settings.pack) if settings.pack else None)
        styles = load_catalogue()
        self.shelf = Shelf(safe, settings, styles, model)
        limits = DecoderLimits(side=crop_side(model), without=styles.unloaded)
        self.decoders = Decoders(settings.decoders, limits)
        self.hub = Hub(self.read)
        self.announcer = Announcer(self.catalogue)
        self.sender = Sender(self.write, settings)
        self.sweeper = Sweeper(safe, settings)
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="service")

    @property
    def catalogue(self) -> Catalogue:
        """The styles and hooks in use at this moment; ask once for what belongs together."""
        return self.shelf.catalogue

    async def start(self) -> None:
        """Sweep first, then let users in."""
        for notice in self.marker.notices():
            logger.warning(notice)
        if self.safe.database.is_sqlite:
            # One server a data folder, and it has just started: what was under way in the one before is not any more.
            for forget in (quota.release_all, idempotency.release_all):
                await self.write(forget)
            await self.write(deadlines.hasten, "upload")
        await self.run(sweep, self.safe, self.settings)
        await self.run(self.shelf.start)
        self.sweeper.start()
        self.announcer.start()
        await self.sender.start()
        await self.decoders.start()
        await self.hub.start()

    async def close(self) -> None:
        """End the streams, the decoders and the sweep under way."""
        await self.hub.close()
        await self.sender.close()
        await self.decoders.close()
        await self.run(self.sweeper.stop)
        await self.run(self.shelf.stop)
        self.jobs.close()
        self._threads.shutdown()
        self.safe.close()

    async def run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run something that blocks in one of the service's threads."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, lambda: work(*args, **kwargs))

    async def read(self, query: Callable[Concatenate[sa.Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """`Database.read` in a thread."""
        return await self.run(lambda: self.safe.database.read(query, *args, **kwargs))

    async def write(self, query: Callable[Concatenate[sa.Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """`Database.write` in a thread: committed when this returns."""
        return await self.run(lambda: self.safe.database.write(query, *args, **kwargs))
