"""`python -m likeness.code_packs.trial NAME VALUE [FOLDER ...]`: load one pack as the server would, in a process that
can do little harm, and say in JSON what it gave.
"""

from __future__ import annotations

import os
import resource
import sys
from importlib.metadata import EntryPoint
from typing import Final

import msgspec

from likeness.code_packs.probe import Verdict
from likeness_plugins.discovery import GROUP, try_pack

CPU_S: Final = 20
MEMORY_BYTES: Final = 4 << 30
FILE_BYTES: Final = 64 << 20


def main() -> int:
    """Answer on what was standard output, which the pack cannot write to."""
    name, value, *folders = sys.argv[1:]
    channel = os.dup(1)
    os.dup2(2, 1)
    _confine()
    sys.path[:0] = folders
    pack = try_pack(name, EntryPoint(name, value, GROUP).load)
    os.write(channel, msgspec.json.encode(Verdict(pack.styles, pack.problems)))
    os._exit(0)  # threads that it started, and what it registered for the end, do not hold us up


def _confine() -> None:
    sys.dont_write_bytecode = True
    for what, most in (
        (resource.RLIMIT_CPU, CPU_S),
        (resource.RLIMIT_AS, MEMORY_BYTES),
        (resource.RLIMIT_FSIZE, FILE_BYTES),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(what, (most, most))


if __name__ == "__main__":
    sys.exit(main())
