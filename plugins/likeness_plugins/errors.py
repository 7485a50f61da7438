"""What can go wrong with plugins.

PluginError          a plugin failed where nothing can go on without it; names the plugin
├── StyleError       a style, or the folder it comes from, is not valid; lists every problem
├── PackSourceError  a pack's source cannot be written, or is not where it was looked for (the style kit)
└── HookError        a hook did not do what it should; says nothing of what it was given
"""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from pathlib import Path


class PluginError(Exception):
    """A plugin failed; the text names it and says what to do."""


class StyleError(PluginError):
    """A style that cannot be used; `problems` has one sentence each."""

    def __init__(self, where: str, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__(f"{where}: {' '.join(problems)}")


class PackSourceError(PluginError):
    """The source of a pack cannot be written or found."""


class HookError(PluginError):
    """A hook in a process of its own did not do what it should; the text holds nothing of what it was given."""


def where(error: BaseException) -> str:
    """What was raised and where, without its text, which may hold what a hook was given: users, captions, secrets."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} in {Path(frame.filename).name}, line {frame.lineno}"
