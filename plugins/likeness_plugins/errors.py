"""What can go wrong with plugins.

PluginError          a plugin failed where nothing can go on without it; names the plugin
├── StyleError       a style, or the folder it comes from, is not valid; lists every problem
└── PackSourceError  a pack's source cannot be written, or is not where it was looked for (the style kit)
"""

from __future__ import annotations

from collections.abc import Sequence


class PluginError(Exception):
    """A plugin failed; the text names it and says what to do."""


class StyleError(PluginError):
    """A style that cannot be used; `problems` has one sentence each."""

    def __init__(self, where: str, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__(f"{where}: {' '.join(problems)}")


class PackSourceError(PluginError):
    """The source of a pack cannot be written or found."""
