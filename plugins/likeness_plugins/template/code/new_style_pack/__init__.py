"""New Style: its looks are in `style.toml`; the margin around its avatars is drawn here."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from likeness_plugins import Style, hookimpl, style_from_folder

if TYPE_CHECKING:
    from likeness_plugins.hookspecs import Picture

MARGIN = 1 / 24  # of a side


@hookimpl
def likeness_styles() -> list[Style]:
    """The style that `style.toml` beside this file describes."""
    return [style_from_folder(Path(__file__).parent)]


@hookimpl
def likeness_finish_avatar(avatar: Picture, style: Style) -> Picture | None:
    """Leave a white margin, as around a print; the avatars of other styles come here too, and are left alone."""
    if style.name != "new-style":
        return None
    margin = round(len(avatar) * MARGIN)
    printed = avatar.copy()
    printed[:margin] = printed[-margin:] = 255
    printed[:, :margin] = printed[:, -margin:] = 255
    return printed
