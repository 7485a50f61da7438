"""Trying a pack in a process of its own, with limits: what hangs, crashes or takes all memory is named, and does no
harm. Authors, installation and start-up all ask here.
"""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from likeness_plugins.checks import as_path
from likeness_plugins.child_process import end_child, ending, start_child
from likeness_plugins.style import Style

SECONDS: Final = 60.0


class Question(msgspec.Struct, frozen=True):
    """An entry point, the folders to import it from first, and the seconds of processor time that it may take."""

    name: str
    value: str
    paths: list[str]
    cpu_s: int


class Trial(msgspec.Struct, frozen=True):
    """What a pack gave: its valid styles, and what must be put right, one sentence each.

    One that did not `survive` hung, or ended its process, and must not be loaded anywhere else.
    """

    styles: list[Style]
    problems: list[str]
    survived: bool = True


def try_pack(name: str, value: str, paths: Sequence[Path] = ()) -> Trial:
    """Import one pack, `value` as in its entry point, and hold it against the conformance kit."""
    question = Question(name, value, [str(path) for path in paths], int(SECONDS) + 1)
    asked = msgspec.json.encode(question).decode()
    with start_child("likeness_plugins.trial_child", asked, stdout=subprocess.PIPE) as child:
        try:
            written, _ = child.communicate(timeout=SECONDS)
        except subprocess.TimeoutExpired:
            return _died(question, f"is not done after {SECONDS:.0f} s: let nothing wait at import or in a hook.")
        finally:
            end_child(child)
    try:
        return msgspec.json.decode(written, type=Trial, dec_hook=as_path)
    except msgspec.MsgspecError:
        return _died(question, f"ended its process ({ending(child.returncode)}): let it return, or raise.")


def _died(question: Question, what: str) -> Trial:
    return Trial([], [f"The pack {question.name} {what}"], survived=False)
