"""What is installed: style packs through pluggy's entry points, model packs from folders. The one place that names
the built-ins.
"""

from __future__ import annotations

from collections.abc import Collection
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from likeness.code_packs.admission import admit
from likeness.errors import UnknownStyleError
from likeness.photos.crop import SIDE
from likeness_engines import BUNDLED_PACK, ModelPack, PackFile, bundled_pack, open_pack, read_pack
from likeness_plugins import Catalogue, Style, discover
from likeness_plugins.discovery import HOOK_S

BUILTIN_PACKS: Final = tuple(
    (name, f"likeness_styles.{name}") for name in ("comic", "sketch", "neon", "watercolour", "oil")
)
# Brings no style: it compares the faces of a set.
IDENTITY_PACK: Final = ("identity", "likeness_identity")
MOST_SIDE: Final = 1024
DEFAULT_STYLES: Final = tuple(name for name, _ in BUILTIN_PACKS)


def load_catalogue(hook_s: float = HOOK_S) -> Catalogue:
    """Discover all style packs; one that is broken is listed in `problems`, and the rest work. One that has not been
    tried yet is tried first, in a process of its own. A hook for an avatar that takes longer has failed.
    """
    return discover(_builtin_packs(), admit, hook_s)


def load_tried(without: Collection[str]) -> Catalogue:
    """The same in a child of a process that has tried them all, without those that it could not load, by name."""
    return discover(_builtin_packs(), lambda entry: "It is not loaded here." if entry.name in without else None)


def is_identity_installed() -> bool:
    """Whether the extra `identity` is there, without which faces are not compared; imports nothing of it."""
    return find_spec("dlib") is not None and find_spec("face_recognition_models") is not None


def _builtin_packs() -> tuple[tuple[str, str], ...]:
    return (*BUILTIN_PACKS, IDENTITY_PACK) if is_identity_installed() else BUILTIN_PACKS


def faces_compared(catalogue: Catalogue) -> bool:
    """Whether the faces of an upload's photos are compared with each other."""
    builtin = (pack for pack in catalogue.packs if (pack.name, pack.distribution) == (IDENTITY_PACK[0], "likeness"))
    return any(pack.name not in catalogue.unloaded for pack in builtin)


def open_model_pack(folder: Path | None) -> ModelPack:
    """Open and verify the model pack in `folder`, or the bundled one."""
    return bundled_pack() if folder is None else open_pack(folder)


def describe_model_pack(folder: Path | None) -> PackFile:
    """What the model pack in `folder`, or the bundled one, says of itself; its other files may be elsewhere."""
    return read_pack(folder or BUNDLED_PACK)


def crop_side(pack: PackFile) -> int:
    """Pixels of the crops that photos are kept as, for a pack to draw from."""
    return min(max(SIDE, pack.resolution), MOST_SIDE)


def choose_styles(catalogue: Catalogue, names: tuple[str, ...]) -> list[Style]:
    """Look styles up by name, each once, in the order given; all unknown ones are reported together."""
    unknown = [name for name in names if name not in catalogue.styles]
    if unknown:
        raise UnknownStyleError(unknown, sorted(catalogue.styles))
    return [catalogue.styles[name] for name in dict.fromkeys(names)]
