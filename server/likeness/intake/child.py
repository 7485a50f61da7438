"""The server's handle on one decoder process."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterable, AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Final

import msgspec

from likeness.intake.errors import DecoderStartError
from likeness.intake.messages import (
    CHUNK_BYTES,
    LENGTH,
    MOST_ANSWER_BYTES,
    Accepted,
    Answer,
    DecoderLimits,
    NextPhoto,
    Ready,
    Refused,
    Request,
    Review,
    Reviewed,
)
from likeness_plugins import Problem

# Isolated, so that neither the working folder nor the user's site-packages is searched for modules.
COMMAND: Final[tuple[str, ...]] = (sys.executable, "-I", "-m", "likeness.intake.decoder")
# All that a decoder finds in its environment: idle threads and their heaps would take address space from the photos.
ENVIRONMENT: Final = {"MALLOC_ARENA_MAX": "2", "OPENBLAS_NUM_THREADS": "1"}


class ChildLostError(Exception):
    """The process died, hung, or answered nonsense: stop it."""


class Child:
    """One decoder process; whoever started it stops it. `problems` are those of the packs in it."""

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        limits: DecoderLimits,
    ) -> None:
        self._process = process
        self._reader = reader
        self._writer = writer
        self._limits = limits
        self.problems: list[Problem] = []

    @classmethod
    async def start(cls, limits: DecoderLimits) -> Child:
        """Start a process and wait until it is ready, half a second; raises DecoderStartError."""
        ours, theirs = socket.socketpair()
        with theirs:
            reader, writer = await asyncio.open_unix_connection(sock=ours)
            try:
                process = await _spawn(theirs.fileno(), limits)
            except BaseException:
                writer.transport.abort()
                raise
        child = cls(process, reader, writer, limits)
        try:
            await child._expect_ready()
        except BaseException:
            await child.stop()
            raise
        return child

    @property
    def pid(self) -> int:
        """The process's id, which is its session's and group's as well."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """False once the process was seen to have ended."""
        return self._process.returncode is None and not self._reader.at_eof()

    async def read_photo(self, chunks: AsyncIterable[bytes]) -> Accepted | Refused:
        """Stream one photo in and wait for the answer; raises ChildLostError, and whatever `chunks` raises."""
        async with self._in_time(self._limits.photo_s):
            await self._ask(NextPhoto())
            async for chunk in chunks:
                for start in range(0, len(chunk), CHUNK_BYTES):
                    await self._write(chunk[start : start + CHUNK_BYTES])
            await self._write(b"")
            answer = await self._answer()
        if not isinstance(answer, Accepted | Refused):
            raise ChildLostError(f"{type(answer).__name__} for a photo")
        if isinstance(answer, Accepted) and len(answer.pixels) != 3 * self._limits.side**2:
            raise ChildLostError(f"a crop of {len(answer.pixels)} bytes")
        return answer

    async def review(self, user: str, crops: Sequence[bytes]) -> list[str | None]:
        """The reason to refuse each of these crops together, or None; raises ChildLostError."""
        async with self._in_time(self._limits.photo_s):
            await self._ask(Review(user, len(crops)))
            for crop in crops:
                await self._write(crop)
            answer = await self._answer()
        if not isinstance(answer, Reviewed) or len(answer.reasons) != len(crops):
            raise ChildLostError(f"{type(answer).__name__} for a review of {len(crops)}")
        return answer.reasons

    async def stop(self) -> None:
        """Kill the process and its children, whatever they do, and reap it."""
        if self._process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
        self._writer.transport.abort()
        await self._process.wait()
        with suppress(OSError):
            await self._writer.wait_closed()

    async def _expect_ready(self) -> None:
        try:
            async with self._in_time(self._limits.start_s):
                answer = await self._answer()
        except ChildLostError as error:
            raise DecoderStartError from error
        if not isinstance(answer, Ready):
            raise DecoderStartError
        self.problems = answer.problems

    async def _ask(self, request: Request) -> None:
        await self._write(msgspec.msgpack.encode(request))

    async def _write(self, body: bytes) -> None:
        try:
            self._writer.write(LENGTH.pack(len(body)) + body)
            await self._writer.drain()
        except OSError as error:
            raise ChildLostError("it is gone") from error

    async def _answer(self) -> Answer:
        try:
            [length] = LENGTH.unpack(await self._reader.readexactly(LENGTH.size))
            if length > MOST_ANSWER_BYTES:
                raise ChildLostError(f"an answer of {length} bytes")
            answer: Answer = msgspec.msgpack.decode(await self._reader.readexactly(length), type=Answer)
        except (EOFError, OSError, msgspec.MsgspecError) as error:
            raise ChildLostError("it is gone, or speaks nonsense") from error
        return answer

    @asynccontextmanager
    async def _in_time(self, most_s: float) -> AsyncIterator[None]:
        timeout = asyncio.timeout(most_s)
        try:
            async with timeout:
                yield
        except TimeoutError as error:
            if timeout.expired():
                raise ChildLostError(f"no answer in {most_s:g} s") from error
            raise  # the photo's source has timeouts of its own


async def _spawn(channel: int, limits: DecoderLimits) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *COMMAND,
        msgspec.json.encode(limits).decode(),
        stdin=channel,
        stdout=channel,
        env=ENVIRONMENT,
        cwd="/",
        close_fds=True,
        start_new_session=True,
    )
