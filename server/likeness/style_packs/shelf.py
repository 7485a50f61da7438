"""The styles in use by one process: what is installed as code, which changes with its restart, and the data-only packs
of the whole installation, which come and go while it runs.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from likeness.code_packs.cache import cache_folder
from likeness.database import UnavailableError
from likeness.packs import choose_styles
from likeness.records import style_packs
from likeness.records.style_packs import Installed
from likeness.safe import Safe
from likeness.settings import Settings
from likeness.style_packs.archive import unpack
from likeness.style_packs.checked import Checked
from likeness.style_packs.errors import StylePackError
from likeness.style_packs.limits import style_problems_here, within_limits
from likeness.vault import StorageError
from likeness_engines import PackFile
from likeness_plugins import Catalogue, Pack, Style, StyleError, style_from_folder

# One query for a few rows each time; a pack is to be seen within two seconds.
EVERY_S: Final = 1.0
logger = logging.getLogger(__name__)


class _Opened(msgspec.Struct, frozen=True):
    """A pack as this process has it: its style, or what is wrong with it."""

    style: Style | None
    problems: tuple[str, ...] = ()


class Shelf:
    """Holds the catalogue, which is replaced as a whole: who has begun with one goes on with it. Safe for threads."""

    def __init__(self, safe: Safe, settings: Settings, base: Catalogue, model: PackFile) -> None:
        self._safe = safe
        self._settings = settings
        self._model = model
        self._base = within_limits(base, settings, model)
        self.catalogue = self._base
        self._cache = style_cache(settings)
        self._checked = Checked(self._cache, settings, model)
        self._rows: list[Installed] = []
        self._opened: dict[str, _Opened] = {}  # by the pack's id
        self._looking = threading.Lock()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="shelf", daemon=True)

    def start(self) -> None:
        """Look now, then about once a second."""
        self._try()
        self._thread.start()

    def stop(self) -> None:
        """End; a look under way is waited for."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def look(self) -> None:
        """Compare with the table, and open what is new. Raises UnavailableError."""
        with self._looking:
            rows = self._safe.database.read(style_packs.kept)
            offered = [row for row in rows if row.withdrawn_at is None]
            if rows == self._rows and all(row.id in self._opened for row in offered):
                return
            opened = [(row, self._open_or_wait(row)) for row in offered]
            self._forget(rows)
            self.catalogue = self._with(opened)
            for row, each in opened:
                if each.style is not None:
                    self._checked.remember(row.digest)

    def choose(self, names: Sequence[str]) -> list[Style]:
        """Styles of a running generation by name, also those withdrawn since it began. Raises UnknownStyleError, and
        StorageError or UnavailableError while that cannot be said.
        """
        if any(name not in self.catalogue.styles for name in names):
            self.look()  # it may have been chosen a moment after it was installed
        catalogue = self.catalogue
        missing = [name for name in names if name not in catalogue.styles]
        withdrawn = {name: style for name in missing if (style := self._withdrawn(name)) is not None}
        return choose_styles(catalogue.with_styles(catalogue.packs, {**catalogue.styles, **withdrawn}), tuple(names))

    def _run(self) -> None:
        while not self._stopping.wait(EVERY_S):
            self._try()

    def _try(self) -> None:
        try:
            self.look()
        except UnavailableError:
            pass  # what is there stays, and the next look is soon
        except Exception:
            logger.exception("The installed style packs could not be looked at; trying again.")

    def _forget(self, rows: list[Installed]) -> None:
        ids = {row.id for row in rows}
        self._opened = {pack: opened for pack, opened in self._opened.items() if pack in ids}
        self._rows = rows

    def _with(self, found: list[tuple[Installed, _Opened]]) -> Catalogue:
        styles, packs = dict(self._base.styles), list(self._base.packs)
        for row, opened in found:
            style, problems = opened.style, opened.problems
            if style is not None and row.name in styles:
                style = None
                problems = (f"Another pack already has a style {row.name}: rename one of them, or remove a pack.",)
            if style is not None:
                styles[row.name] = style
            packs.append(_pack(row, style, problems))
        return self._base.with_styles(packs, styles)

    def _withdrawn(self, name: str) -> Style | None:
        """The last version of a pack that is not offered."""
        with self._looking:
            rows = [row for row in self._rows if row.name == name]
            return self._open(rows[-1]).style if rows else None

    def _open_or_wait(self, row: Installed) -> _Opened:
        """While the store of objects does not answer, the next look tries again."""
        try:
            return self._open(row)
        except StorageError as error:
            problem = f"The style pack {row.name} {row.version} waits: {error}"
            if problem not in {each.sentence for each in self.catalogue.problems}:
                logger.warning("%s", problem)
            return _Opened(None, (problem,))

    def _open(self, row: Installed) -> _Opened:
        """Open a pack once, whatever is wrong with it. Raises StorageError."""
        if row.id not in self._opened:
            self._opened[row.id] = self._unpack(row)
            for problem in self._opened[row.id].problems:
                logger.error("%s", problem)
        return self._opened[row.id]

    def _unpack(self, row: Installed) -> _Opened:
        is_good = self._checked.is_good(row.digest)
        try:
            folder = self._cache / row.digest if is_good else unpack(self._cache, row.digest, lambda: self._fetch(row))
            style = style_from_folder(folder)
        except StylePackError as error:
            return _refused(row, str(error))
        except StyleError as error:
            return _refused(row, " ".join(error.problems))
        except OSError as error:
            raise StorageError(
                f"Style packs cannot be kept in {self._cache}: {error.strerror}. Make room, or set style_cache."
            ) from error
        if (style.name, style.version) != (row.name, row.version):
            return _refused(row, f"Its archive is that of {style.name} {style.version}. Install it again.")
        problems = [] if is_good else style_problems_here(style, self._settings, self._model)
        return _Opened(None if problems else style, tuple(problems))

    def _fetch(self, row: Installed) -> bytes:
        try:
            return self._safe.objects.get(row.object)
        except FileNotFoundError as error:
            raise StylePackError("Its archive is not in the store of objects. Install it again.") from error


def style_cache(settings: Settings) -> Path:
    """The folder of unpacked packs; it may be deleted while nothing runs."""
    return Path(settings.style_cache) if settings.style_cache else cache_folder() / "styles"


def _refused(row: Installed, why: str) -> _Opened:
    return _Opened(None, (f"The style pack {row.name} {row.version} cannot be used: {why}",))


def _pack(row: Installed, style: Style | None, problems: tuple[str, ...]) -> Pack:
    return Pack(
        name=row.name,
        distribution=row.name,
        version=row.version,
        author=style.author if style else "",
        licence=style.licence if style else "",
        styles=(style.name,) if style else (),
        problems=problems,
    )
