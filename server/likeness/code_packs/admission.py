"""Whether an installed pack with code may be loaded: it is tried in a process of its own first, and the verdict on
those very files is remembered.
"""

from __future__ import annotations

import hashlib
import secrets
import sys
from contextlib import suppress
from importlib.metadata import Distribution, EntryPoint
from pathlib import Path

from likeness import __version__
from likeness.code_packs.cache import cache_folder
from likeness_plugins.trial import try_pack


def admit(entry: EntryPoint) -> str | None:
    """Why a pack must not be loaded, or None. What is only invalid may be: that is found again, and named."""
    note = _note(entry)
    verdict = _remembered(note)
    if verdict is None:
        trial = try_pack(entry.name, entry.value)
        verdict = "" if trial.survived else " ".join(trial.problems)
        _remember(note, verdict)
    if not verdict:
        return None
    name = entry.dist.name if entry.dist else entry.name
    return f"{verdict} It is not loaded. Update or remove {name}, or install it again to have it tried again."


def _note(entry: EntryPoint) -> Path | None:
    """Where the verdict is kept; None where its files cannot be known, as of editable installs."""
    if entry.dist is None or (key := _key(entry, entry.dist)) is None:
        return None
    with suppress(RuntimeError):  # a user without a home
        return cache_folder() / "packs" / key
    return None


def _key(entry: EntryPoint, dist: Distribution) -> str | None:
    """By the distribution, its version, the hashes in its RECORD, and whether its files have been touched since."""
    record, editable = dist.read_text("RECORD"), dist.read_text("direct_url.json") or ""
    if not record or '"editable": true' in editable:
        return None
    parts = [__version__, sys.version, entry.name, entry.value, dist.name, dist.version, record]
    for file in dist.files or ():
        with suppress(OSError):
            found = Path(str(file.locate())).stat()
            if not str(file).endswith(".pyc"):
                parts.append(f"{file} {found.st_size} {found.st_mtime_ns}")
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _remembered(note: Path | None) -> str | None:
    """The verdict, empty for what may be loaded; None where there is none."""
    with suppress(OSError):
        return None if note is None else note.read_text("utf-8")
    return None


def _remember(note: Path | None, verdict: str) -> None:
    """Whole or not at all; without it the pack is tried again at the next start."""
    if note is None:
        return
    draft = note.with_name(f"{note.name}-{secrets.token_hex(4)}")
    with suppress(OSError):
        note.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft.touch(mode=0o600)
        draft.write_text(verdict, "utf-8")
        draft.rename(note)
