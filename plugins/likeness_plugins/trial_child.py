"""The process in which a pack is tried: `python -m likeness_plugins.trial_child QUESTION`."""

from __future__ import annotations

import os
import sys
import traceback
from importlib.metadata import EntryPoint
from pathlib import Path

import msgspec

from likeness_plugins.checks import plain
from likeness_plugins.child_process import MEMORY_BYTES, confine
from likeness_plugins.discovery import GROUP
from likeness_plugins.trial import Question, Trial


def main(asked: str) -> None:
    """Write the answer to what was standard output, which the pack cannot write to."""
    question = msgspec.json.decode(asked, type=Question)
    out = os.dup(1)
    os.dup2(2, 1)
    confine(cpu_s=question.cpu_s)
    trial = examine(question)
    with os.fdopen(out, "wb") as file:
        file.write(msgspec.json.encode(trial, enc_hook=plain))
    os._exit(0)  # threads that the pack left running would keep the process


def examine(question: Question) -> Trial:
    """Import the pack and hold it against the conformance kit; a stranger's code may raise anything."""
    from likeness_plugins.testing import examine_pack  # noqa: PLC0415 - after the limit, before the pack's own modules

    sys.path[:0] = question.paths
    try:
        styles, problems = examine_pack(EntryPoint(question.name, question.value, GROUP).load())
    except MemoryError:
        most = MEMORY_BYTES // 10**9
        return Trial([], [f"The pack {question.name} takes more than {most} GB of memory: let it take less."])
    except BaseException as error:
        return Trial([], [f"The pack {question.name} raised {error!r:.200}{_where(error)}: correct it."])
    return Trial(styles, problems)


def _where(error: BaseException) -> str:
    """The last line of a file that was at work, if the pack came that far."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not frame.filename.startswith("<frozen")]
    here = Path(__file__).parent
    outside = [frame for frame in frames if Path(frame.filename).parent != here and "importlib" not in frame.filename]
    return f" in {Path(outside[-1].filename).name}, line {outside[-1].lineno}" if outside else ""


if __name__ == "__main__":
    main(sys.argv[1])
