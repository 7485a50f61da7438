"""Everything that a pack's author must put right; code of the pack runs in a process of its own, with limits."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Final

import msgspec

from likeness_plugins.checks import as_path
from likeness_plugins.errors import StyleError
from likeness_plugins.folder import style_from_folder
from likeness_plugins.pack_child import Answer, Question
from likeness_plugins.pack_source import Entry, PackSource
from likeness_plugins.style import Style

SECONDS: Final = 60.0
MEMORY_BYTES: Final = 4_000_000_000
# What Python needs to start; settings and secrets of this user are nothing to a stranger's code.
PASSED_ON: Final = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "LD_LIBRARY_PATH")


class Checked(msgspec.Struct, frozen=True):
    """One pack of a source: its valid styles, and what must be put right, one sentence each."""

    name: str
    styles: list[Style]
    problems: list[str]


def check_pack_source(source: PackSource) -> list[Checked]:
    """Check every pack of a source as a server would, and that no file of a style lies elsewhere."""
    found = [_check(source, entry) for entry in source.entries] or [_check_folder(source.name, source)]
    seen: set[str] = set()
    checked = []
    for pack in found:
        problems = [*pack.problems, *_strays(pack, source), *_twice(pack, seen)]
        seen |= {style.name for style in pack.styles}
        checked.append(msgspec.structs.replace(pack, problems=problems))
    return checked


def _check(source: PackSource, entry: Entry) -> Checked:
    folder = source.data_folder(entry)
    if folder is not None:
        return _check_folder(entry.name, msgspec.structs.replace(source, root=folder))
    if source.module(entry) is None:
        return Checked(entry.name, [], [f"The module of {entry.name} = {entry.value!r} is not there: add or name it."])
    answer = _ask(Question(entry.name, entry.value, [str(path) for path in source.paths], MEMORY_BYTES))
    return Checked(entry.name, answer.styles, answer.problems)


def _check_folder(name: str, source: PackSource) -> Checked:
    try:
        return Checked(name, [style_from_folder(source.root)], [])
    except StyleError as error:
        return Checked(name, [], list(error.problems))


def _strays(pack: Checked, source: PackSource) -> Iterator[str]:
    """Files of styles that lie elsewhere: on another machine they are not there."""
    for style in pack.styles:
        for path in (style.preview, *(recipe.lora for recipe in style.recipes.values())):
            if path is not None and not path.resolve().is_relative_to(source.root):
                yield f"The path {path} of the style {style.name} leads out of the pack: keep all files inside."


def _twice(pack: Checked, seen: set[str]) -> Iterator[str]:
    for style in pack.styles:
        if style.name in seen:
            yield f"Another pack of this source already has a style {style.name}: rename one of them."


def _ask(question: Question) -> Answer:
    """Run the pack's code in another process, which is killed with all of its own once the time is over."""
    command = [sys.executable, "-P", "-m", "likeness_plugins.pack_child", msgspec.json.encode(question).decode()]
    passed_on = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    environment = {
        **passed_on,
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        "PYTHONDONTWRITEBYTECODE": "1",  # a check changes nothing
        "OPENBLAS_NUM_THREADS": "1",  # each thread takes address space, which is limited
    }
    with subprocess.Popen(  # noqa: S603 - Python itself; what it is asked is data
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as child:
        try:
            written, _ = child.communicate(timeout=SECONDS)
        except subprocess.TimeoutExpired:
            return _failed(question, f"is not done after {SECONDS:.0f} s: let nothing wait at import or in a hook.")
        finally:
            _kill(child)
    try:
        return msgspec.json.decode(written, type=Answer, dec_hook=as_path)
    except msgspec.MsgspecError:
        return _failed(question, f"ended its process ({_ending(child.returncode)}): let it return, or raise.")


def _kill(child: subprocess.Popen[bytes]) -> None:
    """The child leads a process group, in which whatever the pack started is too."""
    try:
        os.killpg(child.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):  # it has gone; of the second, macOS
        return


def _failed(question: Question, what: str) -> Answer:
    return Answer([], [f"The pack {question.name} {what}"])


def _ending(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit status {code}"
