"""Paths of this server in what is stored: kept without the base path, which is each request's own."""

from __future__ import annotations

from typing import Any, Final

import msgspec

# Paths of this server in GenerationView and in events; addresses elsewhere, such as `upgrade_url`, stay as they are.
LINKS: Final = ("url", "events_url", "receipt_url")


def add_base(document: str, base: str) -> bytes:
    """JSON with the base path before each path in its members named in LINKS."""
    if not base:
        return document.encode()
    return msgspec.json.encode(_based(msgspec.json.decode(document), base))


def _based(value: Any, base: str) -> Any:
    if isinstance(value, list):
        return [_based(each, base) for each in value]
    if isinstance(value, dict):
        return {name: _link(name, each, base) for name, each in value.items()}
    return value


def _link(name: str, value: Any, base: str) -> Any:
    if name in LINKS and isinstance(value, str) and value.startswith("/"):
        return base + value
    return _based(value, base)
