"""`python -m likeness.worker.child`: a worker under `likeness serve`. Its settings are standard input's first line;
when that closes, the server is gone, and the worker ends too.
"""

from __future__ import annotations

import os
import signal
import sys
import threading

from likeness.errors import LikenessError
from likeness.logs import configure_logs
from likeness.settings import load_settings
from likeness.worker.process import run_worker
from likeness_engines import EngineError


def main() -> int:
    """Run until the server says so or dies; returns 1 after a failure, said in one sentence."""
    settings = load_settings(sys.stdin.readline())
    configure_logs(settings.log_level)
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the server tells us
    threading.Thread(target=_watch, args=(stop,), daemon=True).start()
    try:
        run_worker(settings, stop)
    except (LikenessError, EngineError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _watch(stop: threading.Event) -> None:
    while os.read(sys.stdin.fileno(), 1024):
        pass
    stop.set()


if __name__ == "__main__":
    sys.exit(main())
