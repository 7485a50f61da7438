"""Headers of a request that are lists, which a client or proxy may send as several fields of one name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

LISTS: Final = (b"accept", b"accept-encoding", b"if-none-match")


def join_lists(headers: Sequence[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """The headers with each list as one field (RFC 9110, 5.3), since the routes read one of each name."""
    others = [(name, value) for name, value in headers if name not in LISTS]
    lists = {name: [value for each, value in headers if each == name] for name in LISTS}
    return others + [(name, b", ".join(values)) for name, values in lists.items() if values]
