"""Keeping one worker process alive under the server: a native crash or a busy interpreter never takes the API down."""

from __future__ import annotations

import contextlib
import logging
import subprocess
import sys
import threading
import time
from typing import Final

from likeness.settings import Settings, dump_settings

logger = logging.getLogger(__name__)
# A worker that lived shorter than this is started again after a pause, doubled every time.
HEALTHY_S: Final = 30.0
PAUSE_S: Final = 1.0
LONGEST_PAUSE_S: Final = 30.0
# What a graceful stop may take: a step, the avatars of it, the connections.
STOP_S: Final = 20.0


class Supervisor:
    """A thread that starts the worker, waits for its end and starts it anew, until stopped."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._stopping = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        self._thread = threading.Thread(target=self._run, name="supervisor", daemon=True)

    def start(self) -> None:
        """Start the worker; it is ready when its lease is in the database."""
        self._thread.start()

    def stop(self) -> None:
        """Let the worker finish its step and hand its work back."""
        self._stopping.set()
        if self._process is not None:
            self._process.terminate()
        self._thread.join()

    def _run(self) -> None:
        pause = PAUSE_S
        while not self._stopping.is_set():
            started = time.monotonic()
            code = self._one_life()
            if self._stopping.is_set():
                return
            pause = PAUSE_S if time.monotonic() - started > HEALTHY_S else min(2 * pause, LONGEST_PAUSE_S)
            logger.warning("The worker ended with code %d; the next one starts in %.0f s.", code, pause)
            self._stopping.wait(pause)

    def _one_life(self) -> int:
        command = [sys.executable, "-m", "likeness.worker.child"]
        with subprocess.Popen(command, stdin=subprocess.PIPE) as process:  # noqa: S603 - the command is ours
            self._process = process
            assert process.stdin is not None
            try:
                process.stdin.write(dump_settings(self._settings) + b"\n")
                process.stdin.flush()
            except BrokenPipeError:
                return process.wait()
            return self._wait(process)

    def _wait(self, process: subprocess.Popen[bytes]) -> int:
        """Wait for the end; once stopping, for at most so long."""
        while not self._stopping.is_set():
            with contextlib.suppress(subprocess.TimeoutExpired):
                return process.wait(timeout=0.5)
        try:
            return process.wait(timeout=STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait()
