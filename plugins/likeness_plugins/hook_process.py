"""A pack's hooks for avatars, in a process of their own: one that hangs or crashes costs one avatar, and one that takes
all memory takes its own. Nothing else of the worker is within its reach.
"""

from __future__ import annotations

import socket
import subprocess
import threading
import time
import weakref
from typing import TYPE_CHECKING, Any, Final

from likeness_plugins.child_process import end_child, ending, start_child
from likeness_plugins.errors import HookError
from likeness_plugins.hook_messages import Answer, Call, Failed, Finished, Ready, Reviewed, receive_answer, send
from likeness_plugins.style import Look, Style
from likeness_plugins.trial import SECONDS as START_S

if TYPE_CHECKING:
    from likeness_plugins.hookspecs import Picture

TEXT_BYTES: Final = 10_000
# A worker waits for so many that hang, one after the other, while it draws nothing.
MOST_FAILURES: Final = 3
REST_S: Final = 60.0


class HookProcess:
    """Starts the process at the first call, and again after one that hung or ended it; one that does so each time is
    left alone for a minute, lest a worker wait for each avatar. Safe for threads: calls wait for each other.
    """

    def __init__(self, pack: str, value: str, most_s: float) -> None:
        self._pack = pack
        self._value = value
        self._most_s = most_s
        self._calling = threading.Lock()
        self._running: _Running | None = None
        self._failures = 0  # in a row
        self._rests_until = 0.0

    def finish(self, avatar: Picture, style: Style, look: Look) -> Picture | None:
        """The avatar as the pack leaves it, or None where it stays; raises HookError."""
        answer = self._call(Call("likeness_finish_avatar", avatar.shape, avatar.tobytes(), style, look))
        if not isinstance(answer, Finished) or (answer.avatar is not None and len(answer.avatar) != avatar.nbytes):
            raise HookError("it answered what is no avatar")
        if answer.avatar is None:
            return None
        import numpy as np  # noqa: PLC0415 - importing this package must stay cheap

        return np.frombuffer(answer.avatar, np.uint8).reshape(avatar.shape)

    def review(self, avatar: Picture, style: Style, look: Look) -> str | None:
        """A reason to refuse the avatar, or None; raises HookError."""
        answer = self._call(Call("likeness_review_avatar", avatar.shape, avatar.tobytes(), style, look))
        if not isinstance(answer, Reviewed):
            raise HookError("it answered what is no review")
        return answer.reason

    def end(self) -> None:
        """End the process, if it runs; the garbage collector and the end of this process do so too."""
        if self._running is not None:
            self._running.end()
            self._running = None

    def _call(self, call: Call) -> Answer:
        with self._calling:
            if time.monotonic() < self._rests_until:
                raise HookError("it failed too often, and rests for a minute")
            if self._running is None:
                self._running = _Running(self._pack, self._value, self._most_s)
            try:
                answer = self._running.ask(call)
            except HookError:
                self._fail(loaded=self._running.loaded)
                raise
            self._failures = 0
        if isinstance(answer, Failed):
            raise HookError(answer.what)
        return answer

    def _fail(self, *, loaded: bool) -> None:
        """End the process; what does not even load, or fails again after a rest, rests at once."""
        self.end()
        self._failures = self._failures + 1 if loaded else MOST_FAILURES
        if self._failures >= MOST_FAILURES:
            self._rests_until = time.monotonic() + REST_S
            self._failures = MOST_FAILURES - 1


class _Running:
    """One such process; it ends when this does."""

    def __init__(self, pack: str, value: str, most_s: float) -> None:
        self._most_s = most_s
        self._channel, theirs = socket.socketpair()
        with theirs:
            self._child = start_child(
                "likeness_plugins.hook_child",
                pack,
                value,
                str(theirs.fileno()),
                str(most_s),
                pass_fds=(theirs.fileno(),),
            )
        self.end = weakref.finalize(self, _end, self._child, self._channel)
        self.loaded = False

    def ask(self, call: Call) -> Answer:
        """The answer to a call; raises HookError when the process cannot be used any more."""
        try:
            if not self.loaded:
                self._load()
            send(self._channel, call, self._most_s)
            return receive_answer(self._channel, len(call.avatar) + TEXT_BYTES, self._most_s)
        except TimeoutError as error:
            raise HookError(f"it takes longer than {self._most_s if self.loaded else START_S:g} s") from error
        except ValueError as error:
            raise HookError("it answered what is no answer") from error
        except (OSError, EOFError) as error:
            raise HookError(f"its process ended{self._how()}") from error

    def _load(self) -> None:
        answer = receive_answer(self._channel, TEXT_BYTES, START_S)
        if not isinstance(answer, Ready):
            raise HookError(answer.what if isinstance(answer, Failed) else "it answered before it was asked")
        self.loaded = True

    def _how(self) -> str:
        try:
            return f" ({ending(self._child.wait(1.0))})"
        except subprocess.TimeoutExpired:  # it has closed the channel alone
            return ""


def _end(child: subprocess.Popen[Any], channel: socket.socket) -> None:
    channel.close()
    end_child(child)
