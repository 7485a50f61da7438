"""A limit on the time that a hook takes. A thread cannot be ended, only left behind: as long as one hangs, its pack's
hooks fail at once. One that hangs in native code without letting Python go on stops the process all the same.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any


class HungError(Exception):
    """A hook took too long, or one before it still does."""


class Watchdog:
    """Runs each hook in a thread of its own, for so many seconds. Safe for threads."""

    def __init__(self, most_s: float) -> None:
        self._most_s = most_s
        self._left_behind: dict[str, threading.Thread] = {}  # by pack

    def call(self, pack: str, hook: Callable[[], Any]) -> Any:
        """What the hook returns or raises; raises HungError."""
        hanging = self._left_behind.get(pack)
        if hanging is not None and hanging.is_alive():
            raise HungError("a hook of it still hangs")
        answer: Future[Any] = Future()
        thread = threading.Thread(target=_run, args=(hook, answer), name=f"hook of {pack}", daemon=True)
        thread.start()
        thread.join(self._most_s)
        if not answer.done():
            self._left_behind[pack] = thread
            raise HungError(f"it takes longer than {self._most_s:g} s")
        return answer.result()


def _run(hook: Callable[[], Any], answer: Future[Any]) -> None:
    try:
        answer.set_result(hook())
    except BaseException as error:  # it belongs to the thread that asked
        answer.set_exception(error)
