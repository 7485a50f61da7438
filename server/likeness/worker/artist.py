"""Drawing one generation of the service: claim it, open its photos, render, store each avatar as it is ready."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Concatenate, Final, Literal, ParamSpec, TypeVar

import msgspec
import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray

from likeness.database import UnavailableError, clock
from likeness.errors import LikenessError
from likeness.generation import Avatar, Drawing, Lost
from likeness.plan import plan_renders
from likeness.provenance import Marker
from likeness.records import work
from likeness.records.work import Claim, DeadWorkerError, Drawn, LostClaimError
from likeness.retention import destroy_due_keys
from likeness.safe import Place, Safe
from likeness.settings import Settings
from likeness.style_packs import Shelf
from likeness.vault import KeyGoneError, StorageError
from likeness.worker.loop import LoopFailedError, RenderLoop, StoppingError, Stream
from likeness_engines import EngineError, Engines, Render

P = ParamSpec("P")
T = TypeVar("T")
PAUSE_S: Final = 1.0
# Avatars in one transaction: more of them cost less, fewer of them lose less when the worker dies amid them.
TOGETHER: Final = 6
logger = logging.getLogger(__name__)


class Easel(msgspec.Struct, frozen=True):
    """What all generations of a worker are drawn with."""

    engines: Engines
    shelf: Shelf
    loop: RenderLoop
    marker: Marker


class Artist:
    """Draws generations, each in the thread that asks; all share one render loop."""

    def __init__(self, safe: Safe, settings: Settings, easel: Easel, worker: str) -> None:
        self._safe = safe
        self._settings = settings
        self._engines, self._shelf, self._loop = easel.engines, easel.shelf, easel.loop
        self._marker = easel.marker
        self._worker = worker

    def draw(self, generation: str) -> None:
        """Draw what of a generation is pending, and end it; raises StoppingError to leave its job in the queue."""
        while claim := self._patiently(work.claim, generation, self._worker, self._settings):
            try:
                self._attempt(claim)
            except LostClaimError as error:
                logger.info("Generation %s is not ours to draw any more.", generation)
                if self._patiently(work.is_running, generation):
                    raise StoppingError from error  # its job is another worker's too: do not end it
            except (LikenessError, EngineError, OSError):
                logger.exception("An attempt at generation %s failed.", generation)
        with suppress(UnavailableError):  # then it is the sweeper's
            destroy_due_keys(self._safe, self._settings)  # of Plus photos: at once

    def _attempt(self, claim: Claim) -> None:
        # Counted before anything is opened or encoded: a photo that kills the process must not do so for ever.
        self._patiently(work.begin, claim)
        try:
            crops, key = self._until_answered(claim, self._open, claim)
            self._render(claim, crops, key)
            self._check_stored(claim)
            self._patiently(work.finish, claim, self._settings)
        except LoopFailedError:
            raise
        except (StoppingError, UnavailableError):
            self._patiently(work.hand_back, claim)
            raise
        except KeyGoneError as error:
            raise LostClaimError(claim.generation.id) from error  # the photos' deadline has passed

    def _patiently(self, query: Callable[Concatenate[sa.Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Write; while the database does not answer, wait for it, or for the worker's end."""
        while True:
            try:
                return self._safe.database.write(query, *args, **kwargs)
            except DeadWorkerError as error:
                raise StoppingError from error
            except UnavailableError as error:
                self._pause(error)

    def _until_answered(self, claim: Claim, work_: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Do something with the store of objects; while that does not answer or is full, wait: an outage is no fault
        of the generation's, and its photos' deadline ends it.
        """
        while True:
            try:
                return work_(*args, **kwargs)
            except (StorageError, UnavailableError) as error:
                self._pause(error)
                if not self._patiently(work.still_claimed, [(claim.generation.id, claim.fence)]):
                    raise LostClaimError(claim.generation.id) from error

    def _pause(self, error: LikenessError) -> None:
        logger.warning("%s", error)
        if self._loop.stopping.wait(PAUSE_S):
            raise StoppingError from error

    def _check_stored(self, claim: Claim) -> None:
        """Draw again what the store has taken and lost; raises StorageError, which makes it an attempt."""
        names = self._patiently(work.stored_by, claim)
        lost = self._until_answered(claim, self._safe.objects.missing, names)
        if lost:
            self._patiently(work.take_back, claim, lost)
            raise StorageError(f"The store of objects has lost {len(lost)} avatars that it had taken. Check it.")

    def _open(self, claim: Claim) -> tuple[list[NDArray[np.uint8]], bytes]:
        """The crops of a generation, uint8 [side, side, 3], and the key for its avatars."""
        generation = claim.generation.id
        photo_key, avatar_key = self._safe.key(generation, "photo"), self._safe.key(generation, "avatar")
        crops = []
        for index, (name, _) in enumerate(claim.photos):
            data = self._safe.get(Place(generation, index, "photo"), photo_key, name)
            side = math.isqrt(len(data) // 3)
            crops.append(np.frombuffer(data, np.uint8).reshape(side, side, 3))
        return crops, avatar_key

    def _render(self, claim: Claim, crops: Sequence[NDArray[np.uint8]], key: bytes) -> None:
        found = claim.generation
        styles = self._until_answered(claim, self._shelf.choose, found.styles)
        qualities = [quality for _, quality in claim.photos]
        plan = plan_renders(styles, qualities, self._settings.avatars, found.seed)
        wanted = [planned for planned in plan if planned.index in claim.pending]
        if not wanted:
            return
        steps = self._settings.steps or None
        turn_in_s = found.goes_at - self._patiently(clock)
        drawing = Drawing(self._engines, self._shelf.catalogue, steps, found.id, priority=int(turn_in_s > 0))
        drawable, lost = drawing.prepare(wanted)
        self._store(claim, key, lost)
        stream = self._loop.open(found.id, claim.fence, turn_in_s)
        try:
            stream.submit(self._loop.do(lambda: drawing.begin(crops, qualities, drawable)))
            self._follow(claim, drawing, stream, key)
        finally:
            self._loop.close(stream)

    def _follow(self, claim: Claim, drawing: Drawing, stream: Stream, key: bytes) -> None:
        for outcomes in stream:
            results = [drawing.judge(outcome) for outcome in outcomes]
            again = [result for result in results if isinstance(result, Render)]
            if again:
                stream.submit(again)
            self._store(claim, key, [result for result in results if not isinstance(result, Render)])

    def _store(self, claim: Claim, key: bytes, results: Sequence[Avatar | Lost]) -> None:
        """Put the avatars of one step, and write them down a few together; what cannot be is taken back."""
        for start in range(0, len(results), TOGETHER):
            drawn = [self._put(claim, key, result) for result in results[start : start + TOGETHER]]
            try:
                self._patiently(work.store, claim, drawn)
            except LostClaimError:
                self._safe.objects.delete_many([each.object for each in drawn if each.object])
                raise

    def _put(self, claim: Claim, key: bytes, result: Avatar | Lost) -> Drawn:
        render = result.render
        if isinstance(result, Lost):
            logger.warning("Avatar %d of %s %s.", render.index, claim.generation.id, result.state)
            state: Literal["refused", "failed"] = "refused" if result.state == "refused" else "failed"
            return Drawn(render.index, render.style.name, render.look.name, state)
        place = Place(claim.generation.id, render.index, "avatar")
        # The fence in the name keeps a worker that lost its claim from writing over its successor's avatar.
        marked, name = self._marker.mark(result.pixels), f"{place.name}-{claim.fence}"
        name, digest = self._until_answered(claim, self._safe.put, place, key, marked, name)
        return Drawn(render.index, render.style.name, render.look.name, "ready", name, digest)
