"""Data-only style packs that reach every process of an installation while it runs; none of their code, having none, is
ever run.
"""

from likeness.style_packs.errors import StylePackError
from likeness.style_packs.installing import install_folder, remove
from likeness.style_packs.shelf import Shelf

__all__ = ["Shelf", "StylePackError", "install_folder", "remove"]
