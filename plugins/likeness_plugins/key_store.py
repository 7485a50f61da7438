"""What a place of keys does: a few small values by name, each gone for everybody once it is destroyed."""

from __future__ import annotations

from abc import abstractmethod
from typing import Protocol, runtime_checkable


@runtime_checkable
class KeyStore(Protocol):
    """Keys by name: `hour-N`, `kept`, `server.secret`, `receipts.pem`, `provenance.pem`; up to a few kilobytes each.

    All processes of a fleet open the same place, and call from many threads. The promise that photos are unreadable
    after their deadline rests on `destroy`: a store keeps no copy that outlives it, neither in memory, so that every
    `read` asks the place itself, nor in a backup, an older version or a log. Raise when the place does not answer; the
    error's text gets into the log, so it holds no key.
    """

    @abstractmethod
    def read(self, name: str) -> bytes | None:
        """The key as it is kept now, or None: None only where the place has answered that there is none."""

    @abstractmethod
    def add(self, name: str, data: bytes) -> bytes:
        """Keep a key unless there is one of that name, and return what is kept: of many at once, one wins.

        It is durable when this returns.
        """

    @abstractmethod
    def names(self) -> list[str]:
        """The names of all keys, in any order; what a crash left half-made counts under its key's name."""

    @abstractmethod
    def destroy(self, name: str) -> None:
        """Destroy a key; no process can read it when this returns. A missing one is fine."""

    def prepare(self) -> None:
        """Make what the place needs before its first use; called by `likeness database upgrade`, again and again."""
        return

    def close(self) -> None:
        """Give back what is open; the store is not used any more."""
        return
