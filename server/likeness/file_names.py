"""File names as text."""

from __future__ import annotations

import os
from pathlib import Path


def readable(path: Path) -> str:
    """A path that JSON and every terminal take: bytes that are not UTF-8, which Linux allows, come out as \\xNN."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")
