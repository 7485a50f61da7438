"""The process that runs a pack's hooks for avatars, one call after the other, until its worker is gone:
`python -m likeness_plugins.hook_child PACK VALUE DESCRIPTOR SECONDS`.
"""

from __future__ import annotations

import os
import queue
import signal
import socket
import sys
import threading
from importlib.metadata import EntryPoint
from typing import Any, Final

import numpy as np
import pluggy

from likeness_plugins import hookspecs
from likeness_plugins.child_process import confine
from likeness_plugins.discovery import GROUP
from likeness_plugins.errors import where
from likeness_plugins.hook_messages import Answer, Call, Failed, Finished, Ready, Reviewed, receive_call, send

MOST_LETTERS: Final = 2000
# Longer than the worker waits: it ends what hangs in native code when there is no worker any more.
GRACE_S: Final = 5.0


def main(pack: str, value: str, descriptor: str, most_s: str) -> None:
    """Load the pack, say Ready, serve."""
    channel = socket.socket(fileno=int(descriptor))
    confine()
    try:
        manager = pluggy.PluginManager(hookspecs.PROJECT)
        manager.add_hookspecs(hookspecs)
        manager.register(EntryPoint(pack, value, GROUP).load(), pack)
    except BaseException as error:  # a stranger's code may raise anything
        send(channel, Failed(f"it could not be loaded: {where(error)}"))
        return
    calls: queue.SimpleQueue[Call] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(channel, calls), daemon=True).start()
    send(channel, Ready())
    while True:
        call = calls.get()
        signal.setitimer(signal.ITIMER_REAL, float(most_s) + GRACE_S)
        send(channel, answer(manager, call))
        signal.setitimer(signal.ITIMER_REAL, 0)


def answer(manager: pluggy.PluginManager, call: Call) -> Answer:
    """Call one hook, and look at what it returns."""
    avatar = np.frombuffer(bytearray(call.avatar), np.uint8).reshape(call.shape)
    try:
        results = getattr(manager.hook, call.hook)(avatar=avatar, style=call.style, look=call.look)
    except BaseException as error:
        return Failed(where(error))
    result = results[0] if results else None  # pluggy leaves None out
    return _finished(result, avatar) if call.hook == "likeness_finish_avatar" else _reviewed(result)


def _finished(result: Any, avatar: hookspecs.Picture) -> Answer:
    if result is None:
        return Finished(None)
    if not isinstance(result, np.ndarray) or (result.shape, result.dtype) != (avatar.shape, avatar.dtype):
        return Failed("it changed the avatar's shape or type")
    return Finished(result.tobytes())


def _reviewed(result: Any) -> Answer:
    if result is None or (isinstance(result, str) and result.strip()):
        return Reviewed(result and str(result)[:MOST_LETTERS])
    return Failed(f"it must return a text or None, not {type(result).__name__}")


def _listen(channel: socket.socket, calls: queue.SimpleQueue[Call]) -> None:
    """In a thread of its own, so that the process ends with its worker even while a hook hangs."""
    try:
        while True:
            calls.put(receive_call(channel))
    except (EOFError, OSError):
        os._exit(0)


if __name__ == "__main__":
    main(*sys.argv[1:])
