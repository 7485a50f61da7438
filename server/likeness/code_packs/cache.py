"""Where a process keeps what it could get again."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """This user's cache of ours; raises RuntimeError for a user without a home."""
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "likeness"
