"""The folder a generation is written to: one WebP an avatar, `avatars.json`, `sheet.webp`; nothing half-written,
ever.
"""

from __future__ import annotations

import errno
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from likeness.errors import OutputError, OutputFolderError, PhotoResult
from likeness.file_names import readable
from likeness.generation import Avatar, Lost
from likeness.provenance import COMPOSITE_SOURCE_TYPE, Marker
from likeness.sheet import Tile, draw_sheet

# Generous: an avatar of the miniature is about 30 kB, the sheet about 1 MB.
BYTES_PER_AVATAR: Final = 200_000


class Timings(msgspec.Struct):
    """Seconds since the command started: when the first render could begin, and when all was written."""

    start_up_s: float = 0.0
    total_s: float = 0.0


class AvatarEntry(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line of `avatars.json`; `file` is missing where `state` is `failed` or `refused`, and `reason` says why."""

    index: int
    style: str
    look: str
    photo: str
    seed: int
    state: str
    ready_s: float
    file: str | None = None
    reason: str | None = None


class PhotoEntry(msgspec.Struct, frozen=True, omit_defaults=True):
    """One of the photos given; one that is not used has a stable code as `reason`, and a `message`."""

    file: str
    accepted: bool
    reason: str | None = None
    message: str | None = None

    @classmethod
    def of(cls, path: Path, result: PhotoResult) -> PhotoEntry:
        """What became of the photo in this file."""
        return cls(readable(path), result.accepted, result.reason, result.message)


class Listing(msgspec.Struct):
    """What `avatars.json` holds; `faces_compared` says whether the photos' faces were compared with each other."""

    pack: str
    seed: int
    asked: int
    timings: Timings
    photos: list[PhotoEntry]
    faces_compared: bool
    avatars: list[AvatarEntry]


class AvatarFolder:
    """Writes avatars as they come, each signed as AI-made; every file appears whole, by renaming."""

    def __init__(self, path: Path, listing: Listing, marker: Marker) -> None:
        self.path = path
        self.listing = listing
        self._named = readable(path)
        self._marker = marker
        self._used = [photo.file for photo in listing.photos if photo.accepted]  # in the crops' order
        self._tiles: dict[str, list[Tile]] = {}

    def open(self) -> None:
        """Create the folder; raises OutputFolderError, or OutputError when the disk is full."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            in_use = any(self.path.iterdir())
            free = shutil.disk_usage(self.path).free
        except OSError as error:
            raise OutputFolderError(
                f"Cannot write to the folder {self._named}: {error.strerror}. Choose another --out."
            ) from error
        if in_use:
            raise OutputFolderError(f"The folder {self._named} is not empty. Empty it or choose another --out.")
        if free < self.listing.asked * BYTES_PER_AVATAR:
            needed_mb = self.listing.asked * BYTES_PER_AVATAR // 1_000_000
            raise OutputError(
                f"Only {free // 1_000_000} MB are free where {self._named} is, and {self.listing.asked} avatars may"
                f" need {needed_mb} MB. Free some room or choose another --out."
            )

    def add(self, result: Avatar | Lost, ready_s: float) -> None:
        """Write an avatar's file, and list it; a lost render is listed with its reason."""
        render = result.render
        entry = AvatarEntry(
            index=render.index,
            style=render.style.name,
            look=render.look.name,
            photo=self._used[render.photo],
            seed=result.seed if isinstance(result, Avatar) else render.seed,
            state="ready" if isinstance(result, Avatar) else result.state,
            ready_s=ready_s,
            reason=None if isinstance(result, Avatar) else result.reason,
        )
        if isinstance(result, Avatar):
            name = f"{render.index + 1:02d}-{render.style.name}-{render.look.name}.webp"
            self._write(name, self._marker.mark(result.pixels))
            entry = msgspec.structs.replace(entry, file=name)
            caption = render.look.title or render.look.name
            self._tiles.setdefault(render.style.title, []).append(Tile(result.pixels, caption))
        self.listing.avatars.append(entry)
        self._write_listing()

    def close(self, photos: Sequence[NDArray[np.uint8]], total_s: float) -> None:
        """Write the contact sheet and the last state of the list."""
        self.listing.timings.total_s = total_s
        self._write_listing()
        if self._tiles:
            sheet = draw_sheet(photos, list(self._tiles.items()))
            self._write("sheet.webp", self._marker.mark(sheet, source=COMPOSITE_SOURCE_TYPE))  # photos are on it too

    def _write_listing(self) -> None:
        self.listing.avatars.sort(key=lambda entry: entry.index)
        self._write("avatars.json", msgspec.json.format(msgspec.json.encode(self.listing), indent=2))

    def _write(self, name: str, content: bytes) -> None:
        part = self.path / f".{name}.part"
        try:
            part.write_bytes(content)
            part.replace(self.path / name)
        except OSError as error:
            part.unlink(missing_ok=True)
            full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            what = "the disk is full" if full else error.strerror
            raise OutputError(
                f"Cannot write {name} to {self._named}: {what}. What is there is complete and listed in avatars.json."
                " Free some room, or choose another --out, and run the command again."
            ) from error


def free_name(parent: Path) -> Path:
    """The first of `avatars`, `avatars-2`, `avatars-3`... that is not there yet."""
    name, number = parent / "avatars", 2
    while name.exists():
        name, number = parent / f"avatars-{number}", number + 1
    return name
