"""A pack that is not installed, or is, loaded by itself into this process, to be drawn with."""

from __future__ import annotations

import sys
from functools import partial
from importlib.metadata import EntryPoint
from pathlib import Path

from likeness_plugins.catalogue import Catalogue
from likeness_plugins.discovery import GROUP, Candidate, load_packs
from likeness_plugins.folder import style_from_folder
from likeness_plugins.hookspecs import hookimpl
from likeness_plugins.pack_source import Entry, PackSource
from likeness_plugins.style import Style


def load_pack_source(source: PackSource) -> Catalogue:
    """The packs of a source and no others; runs their code, except where a pack is data alone."""
    sys.path[:0] = [str(path) for path in source.paths if str(path) not in sys.path]
    data = Candidate(source.name, source.name, "unknown", partial(_Data, source.root))
    return load_packs([_candidate(source, entry) for entry in source.entries] or [data])


def _candidate(source: PackSource, entry: Entry) -> Candidate:
    folder = source.data_folder(entry)
    load = partial(_Data, folder) if folder is not None else EntryPoint(entry.name, entry.value, GROUP).load
    return Candidate(entry.name, source.name, "unknown", load, entry.value)


class _Data:
    """The pack of a folder that needs no module."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @hookimpl
    def likeness_styles(self) -> list[Style]:
        return [style_from_folder(self._folder)]
