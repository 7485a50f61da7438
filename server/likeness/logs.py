"""Structured logs: one JSON object a line on standard error, with the request's id and nothing about users."""

from __future__ import annotations

import datetime
import logging
import sys
from contextvars import ContextVar
from typing import Final

import msgspec

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


def configure_logs(level: str) -> None:
    """Send everything of this process to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    logging.getLogger("alembic").setLevel(logging.WARNING)


def _where(record: logging.LogRecord) -> list[str]:
    assert record.exc_info
    frames, trace = [], record.exc_info[2]
    while trace is not None:
        frames.append(f"{trace.tb_frame.f_code.co_filename.rsplit('/', 1)[-1]}:{trace.tb_lineno}")
        trace = trace.tb_next
    return frames
