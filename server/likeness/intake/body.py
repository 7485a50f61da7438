"""A request's body as it comes in: counted, and not waited for too long."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Final

import msgspec

from likeness.errors import LikenessError
from likeness.intake.errors import BadFormError, BodyTooLargeError, UploadTimeoutError
from likeness.photos import MOST, MOST_BYTES

BODY_BYTES: Final = 155_000_000


class FormLimits(msgspec.Struct, frozen=True):
    """The most that a form may have and take; `idle_s` without a byte, `total_s` from first to last."""

    photos: int = MOST
    parts: int = 40
    photo_bytes: int = MOST_BYTES
    field_bytes: int = 1000
    body_bytes: int = BODY_BYTES
    idle_s: float = 20.0
    total_s: float = 180.0


class Body:
    """Reads chunks within the limits, and holds them against the Content-Length, if one was given."""

    def __init__(self, chunks: AsyncIterator[bytes], limits: FormLimits, content_length: int | None) -> None:
        self._chunks = chunks
        self._limits = limits
        self._declared = content_length
        self._received = 0
        self._end_s = asyncio.get_running_loop().time() + limits.total_s
        if content_length is not None and content_length > limits.body_bytes:
            raise self._too_large()

    async def next(self) -> bytes:
        """The next chunk, empty at the end; raises UploadTimeoutError, BodyTooLargeError, and BadFormError when more or
        less comes than was declared.
        """
        chunk = await self._wait()
        self._received += len(chunk)
        if self._received > self._limits.body_bytes:
            raise self._too_large()
        if self._declared is None:
            return chunk
        if self._received > self._declared:
            raise self._miscounted("more than")
        if not chunk and self._received < self._declared:
            raise self._miscounted(f"{self._received} of")
        return chunk

    async def _wait(self) -> bytes:
        """An empty chunk is no byte, so it does not end the silence."""
        now_s = asyncio.get_running_loop().time()
        timeout = asyncio.timeout_at(min(self._end_s, now_s + self._limits.idle_s))
        if now_s >= self._end_s:  # chunks that are there at once never let a timer run
            raise self._too_slow()
        try:
            async with timeout:
                async for chunk in self._chunks:
                    if chunk:
                        return chunk
        except TimeoutError as error:
            if not timeout.expired():
                raise
            raise self._too_slow() from error
        return b""

    def _too_slow(self) -> UploadTimeoutError:
        if asyncio.get_running_loop().time() >= self._end_s:
            return UploadTimeoutError(
                f"The upload took more than {self._limits.total_s:g} s. Use a faster connection or smaller photos."
            )
        return UploadTimeoutError(
            f"No byte came for {self._limits.idle_s:g} s. Check the connection and send the form again."
        )

    def _too_large(self) -> BodyTooLargeError:
        return BodyTooLargeError(f"The form has more than {megabytes(self._limits.body_bytes)}. Use smaller photos.")

    def _miscounted(self, came: str) -> LikenessError:
        return BadFormError(f"The body has {came} the {self._declared} bytes that it declared. Send it again, whole.")


def megabytes(count: int) -> str:
    """15 MB for 15,000,000."""
    return f"{count / 1_000_000:g} MB"
