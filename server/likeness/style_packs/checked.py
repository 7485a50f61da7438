"""What was found whole and good once is not read and checked again at every start: a note beside the unpacked pack says
so of these very files, under these limits, for this model pack.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from contextlib import suppress
from pathlib import Path

import msgspec

from likeness import __version__
from likeness.settings import Settings
from likeness_engines import PackFile


class Checked:
    """The notes in a cache of unpacked packs. Not safe for threads; other processes may use the same cache."""

    def __init__(self, cache: Path, settings: Settings, model: PackFile) -> None:
        self._cache = cache
        limits = {name: value for name, value in msgspec.structs.asdict(settings).items() if name.startswith("style_")}
        self._terms = msgspec.json.encode([__version__, limits, model.family, model.lora])
        self._noted: set[str] = set()

    def is_good(self, digest: str) -> bool:
        """Whether the pack unpacked under that digest is the one that was noted, and would be found good again."""
        with suppress(OSError):
            if self._note(digest).read_text() == self._state(digest):
                self._noted.add(digest)
                return True
        return False

    def remember(self, digest: str) -> None:
        """Note that a pack is whole and good; without a note it is read again at the next start."""
        if digest in self._noted:
            return
        note = self._note(digest)
        draft = note.with_name(f"{note.name}-{secrets.token_hex(4)}")
        with suppress(OSError):
            for path in self._files(digest):
                _settle(path)  # else a machine that loses its power keeps the note, and not what it is about
            draft.write_text(self._state(digest))
            draft.rename(note)
            self._noted.add(digest)

    def _note(self, digest: str) -> Path:
        return self._cache / f"{digest}.good"

    def _files(self, digest: str) -> list[Path]:
        return sorted(path for path in (self._cache / digest).rglob("*") if path.is_file())

    def _state(self, digest: str) -> str:
        """Changes with the terms, and with whatever is touched."""
        state = hashlib.sha256(self._terms)
        for path in self._files(digest):
            found = path.stat()
            state.update(f"\n{path} {found.st_size} {found.st_mtime_ns}".encode())
        return state.hexdigest()


def _settle(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
