"""New Style: its looks are in `style.toml`; the margin around its avatars is drawn here."""

from pathlib import Path
from typing import Any

import numpy as np

from likeness_plugins import Style, hookimpl, style_from_folder

MARGIN = 1 / 24  # of a side


@hookimpl
def likeness_styles() -> list[Style]:
    """The style that `style.toml` beside this file describes."""
    return [style_from_folder(Path(__file__).parent)]


@hookimpl
def likeness_finish_avatar(avatar: Any, style: Style) -> Any:
    """Leave a white margin, as around a print; the avatars of other styles come here too, and are left alone."""
    if style.name != "new-style":
        return None
    margin = round(len(avatar) * MARGIN)
    printed = np.full_like(avatar, 255)
    printed[margin:-margin, margin:-margin] = avatar[margin:-margin, margin:-margin]
    return printed
