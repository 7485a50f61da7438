"""Medallion: all of it is in `style.toml`."""

from pathlib import Path

from likeness_plugins import Style, hookimpl, style_from_folder


@hookimpl
def likeness_styles() -> list[Style]:
    """The style that `style.toml` beside this file describes."""
    return [style_from_folder(Path(__file__).parent)]
