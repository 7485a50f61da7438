"""A process for a stranger's code: it starts with no setting and no secret of ours, may take so much, and is ended with
all that it has started. That is no sandbox.
"""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

MEMORY_BYTES: Final = 4_000_000_000
FILE_BYTES: Final = 64_000_000
# What Python needs to start; settings and secrets of this user are nothing to a stranger's code.
PASSED_ON: Final = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "LD_LIBRARY_PATH")


def start_child(
    module: str, *arguments: str, stdout: int = subprocess.DEVNULL, pass_fds: Sequence[int] = ()
) -> subprocess.Popen[bytes]:
    """Run `python -m module`, which finds the modules that this process would; it reads nothing, and its errors go
    nowhere, since what a pack prints may be about a person.
    """
    passed_on = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    environment = {
        **passed_on,
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        "PYTHONDONTWRITEBYTECODE": "1",
        "OPENBLAS_NUM_THREADS": "1",  # each thread takes address space, which is limited
        "MALLOC_ARENA_MAX": "2",
    }
    return subprocess.Popen(  # noqa: S603 - Python itself; what it is asked is data
        [sys.executable, "-P", "-m", module, *arguments],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        pass_fds=pass_fds,
    )


def end_child(child: subprocess.Popen[bytes]) -> None:
    """Kill the process group that the child leads, in which whatever the pack started is too."""
    with suppress(ProcessLookupError, PermissionError):  # it has gone; of the second, macOS
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()


def ending(code: int) -> str:
    """How a process ended, by its return code."""
    return f"signal {-code}" if code < 0 else f"exit status {code}"


def confine(*, cpu_s: int | None = None) -> None:
    """In the child, before any of the pack's code: limits that it cannot raise again."""
    limits = {
        resource.RLIMIT_AS: MEMORY_BYTES,
        resource.RLIMIT_FSIZE: FILE_BYTES,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_CPU: cpu_s or resource.RLIM_INFINITY,
    }
    for what, most in limits.items():
        hard = resource.getrlimit(what)[1]
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)  # noqa: PLW2901
        resource.setrlimit(what, (most, most))
