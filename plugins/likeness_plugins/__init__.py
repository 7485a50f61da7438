"""What the author of a Likeness pack imports; cheap to import, and nothing is discovered by importing it."""

from likeness_plugins.catalogue import Catalogue, Pack, Problem
from likeness_plugins.discovery import discover
from likeness_plugins.errors import PackSourceError, PluginError, StyleError
from likeness_plugins.folder import style_from_folder
from likeness_plugins.hookspecs import hookimpl
from likeness_plugins.key_store import KeyStore
from likeness_plugins.publication import Publication
from likeness_plugins.refused_photos import RefusedPhotos
from likeness_plugins.style import Look, Recipe, Style

__all__ = [
    "Catalogue",
    "KeyStore",
    "Look",
    "Pack",
    "PackSourceError",
    "PluginError",
    "Problem",
    "Publication",
    "Recipe",
    "RefusedPhotos",
    "Style",
    "StyleError",
    "discover",
    "hookimpl",
    "style_from_folder",
]
