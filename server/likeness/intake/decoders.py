"""Photos to crops in processes of their own: one process an upload, and one kept warm for the next."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterable, AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Final, NamedTuple

import msgspec

from likeness.errors import PhotoError, PhotoResult
from likeness.intake.child import Child, ChildLostError
from likeness.intake.errors import DecoderStartError
from likeness.intake.messages import Accepted, DecoderLimits, Refused
from likeness.photos import PhotoSet, Thumbnail, check_count
from likeness_plugins import Problem
from likeness_plugins.catalogue import REFUSED_BY_FAILURE

logger = logging.getLogger(__name__)
_LOST: Final = Refused("not_an_image", "The picture could not be read. Save it again, or use another photo.")


class DecodedPhoto(msgspec.Struct, frozen=True):
    """An accepted crop: uint8 [side, side, 3] RGB as bytes, of the side that the pack wants, and its quality 0..1."""

    pixels: bytes
    quality: float


class DecodedPhotos(NamedTuple):
    """The photos that are used, in their order, and what became of every photo given."""

    photos: list[DecodedPhoto]
    results: list[PhotoResult]


class Decoder:
    """Reads one upload's photos; a photo that kills its process is refused, and the next goes on in a fresh one."""

    def __init__(self, child: Child, limits: DecoderLimits) -> None:
        self._child: Child | None = child
        self._limits = limits
        self._used = False

    @property
    def pid(self) -> int | None:
        """The process at work, or None between a lost one and the next."""
        return None if self._child is None else self._child.pid

    async def read(
        self, photos: Sequence[AsyncIterable[bytes]], user: str, names: Sequence[str] | None = None
    ) -> DecodedPhotos:
        """Decode, crop and review, with each photo's chunks streamed and in no moment whole in this process.

        Raises PhotoCountError, PhotosRefusedError where fewer than three photos can be used, and whatever a photo's
        source raises. The names are for the refusals; without them it is "photo 1" and so on.
        """
        self._use()
        check_count(len(photos))
        names = names or [f"photo {index + 1}" for index in range(len(photos))]
        answers = [await self._photo(chunks) for chunks in photos]
        accepted = {index: answer for index, answer in enumerate(answers) if isinstance(answer, Accepted)}
        photo_set = PhotoSet(names, [_photo_or_error(answer) for answer in answers])
        photo_set.check_enough()
        photo_set.apply_review(await self._review(user, [accepted[index].pixels for index in photo_set.usable]))
        photo_set.check_enough()
        used = [accepted[index] for index in photo_set.usable]
        return DecodedPhotos([DecodedPhoto(crop.pixels, crop.quality) for crop in used], photo_set.results())

    async def check(self, chunks: AsyncIterable[bytes]) -> float:
        """The quality 0..1 of one photo before an upload; raises PhotoError, and whatever `chunks` raises."""
        self._use()
        answer = await self._photo(chunks)
        if isinstance(answer, Refused):
            raise PhotoError(answer.code, answer.message)
        return answer.quality

    async def close(self) -> None:
        """Kill and reap the process."""
        child, self._child = self._child, None
        if child is not None:
            await child.stop()

    def _use(self) -> None:
        if self._used:
            raise RuntimeError("A decoder reads one upload, so that no user's bytes are near another's: take a new one")
        self._used = True

    async def _photo(self, chunks: AsyncIterable[bytes]) -> Accepted | Refused:
        if self._child is None:
            self._child = await Child.start(self._limits)
        try:
            return await self._child.read_photo(chunks)
        except ChildLostError:
            await self.close()
            return _LOST
        finally:
            # A generator that was left half-way holds a file or a connection open.
            if (close := getattr(chunks, "aclose", None)) is not None:
                await close()

    async def _review(self, user: str, crops: Sequence[bytes]) -> list[str | None]:
        if self._child is None:
            self._child = await Child.start(self._limits)
        try:
            return await self._child.review(user, crops)
        except ChildLostError:
            await self.close()
            return [REFUSED_BY_FAILURE] * len(crops)


def _photo_or_error(answer: Accepted | Refused) -> Thumbnail | PhotoError:
    return answer.thumbnail if isinstance(answer, Accepted) else PhotoError(answer.code, answer.message)


class Decoders:
    """At most so many decoders at once, and while open, one spare that has started already.

    `problems` has what is wrong with the packs in them, each once, as it was logged.
    """

    def __init__(self, at_once: int, limits: DecoderLimits | None = None) -> None:
        self._turns = asyncio.Semaphore(at_once)
        self._checks = asyncio.Semaphore(max(1, at_once - 1))
        self._limits = limits or DecoderLimits()
        self._open = False
        self._spare: asyncio.Task[Child] | None = None
        self.problems: list[Problem] = []

    async def start(self) -> None:
        """Start the spare and wait for it; raises DecoderStartError where no decoder can work at all."""
        self._open = True
        self._keep_spare()
        assert self._spare is not None
        await self._spare

    async def close(self) -> None:
        """Stop the spare; decoders that are taken end with their `take`."""
        self._open = False
        spare, self._spare = self._spare, None
        if spare is None:
            return
        spare.cancel()
        [child] = await asyncio.gather(spare, return_exceptions=True)
        if isinstance(child, Child):
            await child.stop()

    @asynccontextmanager
    async def take(self) -> AsyncIterator[Decoder]:
        """A decoder for one upload, killed at the end; waits while `at_once` are taken; raises DecoderStartError."""
        async with self._turns:
            decoder = Decoder(await self._child(), self._limits)
            try:
                yield decoder
            finally:
                await decoder.close()

    @asynccontextmanager
    async def take_to_check(self) -> AsyncIterator[Decoder]:
        """A decoder for a photo before an upload; uploads keep the last of several, and wait for one check at most."""
        async with self._checks, self.take() as decoder:
            yield decoder

    async def _child(self) -> Child:
        spare, self._spare = self._spare, None
        self._keep_spare()
        if spare is not None:
            with suppress(DecoderStartError):
                child = await spare
                if child.alive:
                    return child
                await child.stop()
        return await self._start()

    def _keep_spare(self) -> None:
        if self._open and self._spare is None:
            self._spare = asyncio.create_task(self._start())

    async def _start(self) -> Child:
        child = await Child.start(self._limits)
        for problem in child.problems:
            if problem not in self.problems:
                self.problems.append(problem)
                logger.error("The pack %s, in a decoder: %s", problem.pack, problem.sentence)
        return child
