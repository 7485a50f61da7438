"""Structured logs: one JSON object a line on standard error, with the request's id and nothing about users."""

from __future__ import annotations

import datetime
import logging
import math
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextvars import ContextVar
from typing import Final

import msgspec

REPEATED_S: Final = 60.0
request_id: Final[ContextVar[str]] = ContextVar("request_id", default="")


class JsonFormatter(logging.Formatter):
    """time, level, logger, message, request; an exception's type and place, never its text, which may quote a user."""

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        line: dict[str, object] = {
            "time": datetime.datetime.fromtimestamp(record.created, datetime.UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if request_id.get():
            line["request"] = request_id.get()
        line |= getattr(record, "fields", {})
        if record.exc_info and record.exc_info[0]:
            line["exception"] = record.exc_info[0].__name__
            line["where"] = _where(record)
        return msgspec.json.encode(line).decode()


class OnceAWhile(logging.Filter):
    """Lets the same warning or error of the same request through once in `every_s`: a full disk is met each second.

    The next one that passes says in `repeated` how often it was left out.
    """

    def __init__(self, every_s: float = REPEATED_S, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._every_s = every_s
        self._clock = clock
        self._lock = threading.Lock()
        self._passed: dict[tuple[str, ...], float] = {}
        self._left_out: Counter[tuple[str, ...]] = Counter()

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is logged."""
        if record.levelno < logging.WARNING:
            return True
        try:
            key = _key(record)
        except Exception:  # a value that has no text: whoever logs it must not fail for that
            return True
        with self._lock:
            now = self._clock()
            if now - self._passed.get(key, -math.inf) < self._every_s:
                self._left_out[key] += 1
                return False
            if repeated := self._left_out.pop(key, 0):
                record.fields = {**getattr(record, "fields", {}), "repeated": repeated}
            self._passed = {each: at for each, at in self._passed.items() if now - at < self._every_s} | {key: now}
            self._left_out = Counter({each: n for each, n in self._left_out.items() if each in self._passed})
        return True


def configure_logs(level: str) -> None:
    """Send everything of this process to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    handler.addFilter(OnceAWhile())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    logging.getLogger("alembic").setLevel(logging.WARNING)


def _key(record: logging.LogRecord) -> tuple[str, ...]:
    """Equal for records that say the same of the same request; the message is not formatted, which may fail."""
    said = record.name, record.levelname, str(record.msg), repr(record.args), request_id.get()
    if not record.exc_info or record.exc_info[0] is None:
        return said
    return *said, record.exc_info[0].__name__, str(record.exc_info[1]), *_where(record)[-1:]


def _where(record: logging.LogRecord) -> list[str]:
    assert record.exc_info
    frames, trace = [], record.exc_info[2]
    while trace is not None:
        frames.append(f"{trace.tb_frame.f_code.co_filename.rsplit('/', 1)[-1]}:{trace.tb_lineno}")
        trace = trace.tb_next
    return frames
