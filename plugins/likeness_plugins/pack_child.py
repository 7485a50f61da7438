"""The process in which `likeness styles check` runs a pack's code: `python -m likeness_plugins.pack_child QUESTION`.

It keeps a pack that hangs, takes all memory or ends its process from harming the command. It is no sandbox.
"""

from __future__ import annotations

import os
import resource
import sys
import traceback
from importlib.metadata import EntryPoint
from pathlib import Path

import msgspec

from likeness_plugins.checks import plain
from likeness_plugins.discovery import GROUP
from likeness_plugins.style import Style


class Question(msgspec.Struct, frozen=True):
    """An entry point, the folders to import it from first, and how much memory it may take."""

    name: str
    value: str
    paths: list[str]
    memory_bytes: int


class Answer(msgspec.Struct, frozen=True):
    """The pack's valid styles, and its problems."""

    styles: list[Style]
    problems: list[str]


def main(asked: str) -> None:
    """Write the answer to what was standard output; whatever the pack prints goes nowhere."""
    question = msgspec.json.decode(asked, type=Question)
    out = os.dup(1)
    os.dup2(2, 1)
    resource.setrlimit(resource.RLIMIT_AS, (question.memory_bytes, question.memory_bytes))
    answer = examine(question)
    with os.fdopen(out, "wb") as file:
        file.write(msgspec.json.encode(answer, enc_hook=plain))
    os._exit(0)  # threads that the pack left running would keep the process


def examine(question: Question) -> Answer:
    """Import the pack and hold it against the conformance kit; a stranger's code may raise anything."""
    from likeness_plugins.testing import examine_pack  # noqa: PLC0415 - after the limit, before the pack's own modules

    sys.path[:0] = question.paths
    try:
        styles, problems = examine_pack(EntryPoint(question.name, question.value, GROUP).load())
    except MemoryError:
        most = question.memory_bytes / 1e9
        return Answer([], [f"The pack {question.name} takes more than {most:.0f} GB of memory: let it take less."])
    except BaseException as error:
        return Answer([], [f"The pack {question.name} raised {error!r:.200}{_where(error)}: correct it."])
    return Answer(styles, problems)


def _where(error: BaseException) -> str:
    """The last line of a file that was at work, if the pack came that far."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not frame.filename.startswith("<frozen")]
    here = Path(__file__).parent
    outside = [frame for frame in frames if Path(frame.filename).parent != here and "importlib" not in frame.filename]
    return f" in {Path(outside[-1].filename).name}, line {outside[-1].lineno}" if outside else ""


if __name__ == "__main__":
    main(sys.argv[1])
