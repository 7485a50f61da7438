"""The pack's hooks: its style, and the frame that it draws around its own avatars."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Any

from likeness_plugins import Look, Style, hookimpl, style_from_folder

FRAME = 6


@hookimpl
def likeness_styles() -> list[Style]:
    """The style of the data package."""
    return [style_from_folder(Path(str(files("pop_poster"))))]


@hookimpl
def likeness_finish_avatar(avatar: Any, style: Style, look: Look) -> Any:
    """Draw a white frame, on this pack's style alone."""
    if style.name != "pop-poster":
        return None
    framed = avatar.copy()
    framed[:FRAME] = framed[-FRAME:] = 255
    framed[:, :FRAME] = framed[:, -FRAME:] = 255
    return framed
