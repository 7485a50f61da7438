"""How long tests wait: until a condition holds, and at most for a time that grows with the machine's load."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any, Final

# Far longer than anything takes on a quiet machine: reached only when something hangs.
QUIET_S: Final = 90.0


def patience_s(quiet_s: float = QUIET_S) -> float:
    """What is to take `quiet_s` at most on a quiet machine, on this one now: times the runnable processes a core."""
    return quiet_s * max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


def wait_until(condition: Callable[[], Any], report: Callable[[], str] = str, quiet_s: float = QUIET_S) -> Any:
    """Call `condition` until it returns something true, and return that; raise AssertionError with `report` if not."""
    begun = time.monotonic()
    while time.monotonic() - begun < patience_s(quiet_s):  # the load may grow while this waits
        if found := condition():
            return found
        time.sleep(0.02)
    raise AssertionError(f"waited in vain for {time.monotonic() - begun:.0f} s\n{report()}")
