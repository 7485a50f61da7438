"""Looking at one photo before an upload: turns for each user, and the way from the body to a decoder, past any disk."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

from litestar import Request

from likeness.http.service import Service
from likeness.intake import BodyTooLargeError, FormLimits, UnsupportedMediaTypeError
from likeness.intake.body import Body, megabytes
from likeness.photos import MOST_BYTES
from likeness.refusals import ChecksError

CHECKS_AN_HOUR: Final = 120
HOUR_S: Final = 3600.0
# A decoder gives up on a photo after 30 seconds, and would say that it is damaged.
CHECK_S: Final = 20.0
# So much is awaited before a decoder is taken: slow connections are not to hold one.
HEAD_BYTES: Final = 1 << 20


class CheckTurns:
    """One check at a time for each user, and so many an hour: counted in memory, by this process alone."""

    def __init__(self, most: int = CHECKS_AN_HOUR, clock: Callable[[], float] = time.monotonic) -> None:
        self._most = most
        self._clock = clock
        self._users: dict[str, _Turns] = {}

    @asynccontextmanager
    async def turn(self, owner: str) -> AsyncIterator[None]:
        """Count a check, and wait for the one before it to end; raises ChecksError."""
        now = self._clock()
        self._forget(now - HOUR_S)
        turns = self._users.setdefault(owner, _Turns())
        if len(turns.moments) >= self._most:
            raise ChecksError(self._most, turns.moments[0] + HOUR_S - now)
        turns.moments.append(now)
        async with turns.lock:
            yield

    def _forget(self, before: float) -> None:
        for owner, turns in list(self._users.items()):
            while turns.moments and turns.moments[0] <= before:
                turns.moments.popleft()
            if not turns.moments:
                del self._users[owner]


class _Turns:
    """One user's checks of the last hour."""

    def __init__(self) -> None:
        self.moments: deque[float] = deque()
        self.lock = asyncio.Lock()


async def check_photo(service: Service, request: Request[Any, Any, Any]) -> float:
    """The quality of the photo that the body is; raises PhotoError and the errors of `likeness.intake`."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if not media_type.startswith("image/") and media_type != "application/octet-stream":
        raise UnsupportedMediaTypeError("The body is not declared as a picture. Send the file itself, as image/jpeg.")
    photo = _photo(service, request)
    head = bytearray()
    async for chunk in photo:
        head += chunk
        if len(head) >= HEAD_BYTES:
            break
    async with service.decoders.take_to_check() as decoder:
        return await decoder.check(_joined(bytes(head), photo))


async def _photo(service: Service, request: Request[Any, Any, Any]) -> AsyncIterator[bytes]:
    """The body within the limits of uploads, but for a shorter time."""
    settings = service.settings
    declared = request.headers.get("content-length", "")
    limits = FormLimits(idle_s=settings.upload_idle_s, total_s=min(CHECK_S, settings.upload_total_s))
    left = MOST_BYTES
    if declared.isdigit() and int(declared) > left:
        raise _too_large()
    body = Body(request.stream(), limits, int(declared) if declared.isdigit() else None)
    while chunk := await body.next():
        left -= len(chunk)
        if left < 0:
            raise _too_large()
        yield chunk


async def _joined(head: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield head
    async for chunk in rest:
        yield chunk


def _too_large() -> BodyTooLargeError:
    return BodyTooLargeError(f"The photo has more than {megabytes(MOST_BYTES)}. Use a smaller photo.")
