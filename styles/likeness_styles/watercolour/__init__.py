"""Watercolour: thin paint with darker edges, on a two-colour wash with a white margin."""

from pathlib import Path

from likeness_plugins import Style, hookimpl, style_from_folder


@hookimpl
def likeness_styles() -> list[Style]:
    """The one style that `style.toml` beside this file describes."""
    return [style_from_folder(Path(__file__).parent)]
