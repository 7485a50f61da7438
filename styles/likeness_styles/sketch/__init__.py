"""Sketch: one ink on toned paper, drawn in strokes or dots that follow the shadows."""

from pathlib import Path

from likeness_plugins import Style, hookimpl, style_from_folder


@hookimpl
def likeness_styles() -> list[Style]:
    """The one style that `style.toml` beside this file describes."""
    return [style_from_folder(Path(__file__).parent)]
