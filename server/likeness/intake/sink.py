"""Where a form's photos go while it is read."""

from __future__ import annotations

from typing import Protocol


class PhotoWriter(Protocol):
    """Takes one photo's bytes in order. `close` says that the photo is whole: after a refusal it is not called."""

    async def write(self, data: bytes, /) -> None: ...
    async def close(self) -> None: ...


class PhotoSink(Protocol):
    """Opened once a photo, in the form's order, counted from 0, each after the one before is closed.

    When the form is refused half-way, whoever gave the sink drops all that it took.
    """

    async def open(self, index: int, /) -> PhotoWriter: ...


class DiscardingSink:
    """Keeps nothing: for callers that want a form's digest alone."""

    async def open(self, _index: int) -> DiscardingSink:
        """The sink is its own writer."""
        return self

    async def write(self, _data: bytes) -> None:
        """Forget it."""

    async def close(self) -> None:
        """Nothing to end."""
