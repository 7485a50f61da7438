"""Trying a pack with code in a process of its own before it is let into this one: what hangs, crashes or eats memory
when it is imported is named, and does no harm. That a version of a distribution was fine is remembered by its files.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib.metadata import Distribution, EntryPoint
from pathlib import Path
from typing import Final

import msgspec

from likeness import __version__
from likeness.code_packs.cache import cache_folder

PROBE_S: Final = 20.0
# Neither secrets nor settings; threads and their heaps would take address space from the pack.
PASSED_ON: Final = ("PATH", "HOME", "PYTHONPATH", "VIRTUAL_ENV")
QUIET: Final = {"OPENBLAS_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "2"}


class Verdict(msgspec.Struct, frozen=True):
    """What a pack gave when it was tried, and what is wrong with it: nothing, when it is good."""

    styles: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()


def admit(entry: EntryPoint) -> str | None:
    """Why a pack must not be loaded, or None; a good verdict on these very files is trusted, else it is tried now.

    What is only invalid may be loaded: that is found again, and named.
    """
    remembered = _remembered(entry)
    if remembered is not None and remembered.exists():
        return None
    verdict = probe(entry.name, entry.value)
    if verdict is None:
        return (
            f"The pack {entry.name} cannot be loaded: it hung, crashed or used too much memory when it was tried."
            f" Update or remove {entry.dist.name if entry.dist else 'it'}."
        )
    if not verdict.problems and remembered is not None:
        _remember(remembered)
    return None


def probe(name: str, value: str, path: Sequence[Path] = ()) -> Verdict | None:
    """Load one pack, `value` as in its entry point, in a process with limits; None when that died or took too long.

    Folders of `path` are searched for modules first.
    """
    command = [sys.executable, "-P", "-m", "likeness.code_packs.trial", name, value, *map(str, path)]
    environment = {each: os.environ[each] for each in PASSED_ON if each in os.environ} | QUIET
    with subprocess.Popen(  # noqa: S603 - the command is ours
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment,
        start_new_session=True,
    ) as process:
        try:
            answer, _ = process.communicate(timeout=PROBE_S)
        except subprocess.TimeoutExpired:
            answer = b""
        finally:
            with suppress(ProcessLookupError):  # with all that it started
                os.killpg(process.pid, signal.SIGKILL)
    try:
        return msgspec.json.decode(answer, type=Verdict)
    except msgspec.MsgspecError:
        return None


def _remembered(entry: EntryPoint) -> Path | None:
    """Where a good verdict is noted; None where its files cannot be known, as of editable installs."""
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


def _remember(note: Path) -> None:
    """Whole or not at all; without it the pack is tried again at the next start."""
    draft = note.with_name(f"{note.name}-{secrets.token_hex(4)}")
    with suppress(OSError):
        note.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft.touch(mode=0o600)
        draft.rename(note)
