"""Log lines: what repeats itself is logged once a while, and nothing else is left out."""

from __future__ import annotations

import json
import logging
import sys
from typing import Any

import pytest

from likeness.logs import JsonFormatter, OnceAWhile, request_id


class Log:
    """A handler as the server's, under a clock of the test's own."""

    def __init__(self) -> None:
        self.now = 0.0
        self._filter = OnceAWhile(60.0, lambda: self.now)

    def lines(self, message: str, *args: object, level: int = logging.WARNING, exc_info: object = None) -> list[object]:
        """What one call logs."""
        record = logging.LogRecord("likeness", level, "", 0, message, args, exc_info)  # type: ignore[arg-type]
        return [json.loads(JsonFormatter().format(record))] if self._filter.filter(record) else []


def test_the_same_warning_is_logged_once_a_minute_and_counted() -> None:
    log = Log()
    assert len(log.lines("The disk is full")) == 1
    for second in range(1, 60):
        log.now = float(second)
        assert log.lines("The disk is full") == []
    log.now = 60.0
    [line] = log.lines("The disk is full")
    assert isinstance(line, dict)
    assert line["repeated"] == 59
    log.now = 200.0
    [line] = log.lines("The disk is full")
    assert isinstance(line, dict)
    assert "repeated" not in line


def test_other_words_levels_errors_and_requests_are_other_lines() -> None:
    log = Log()
    assert log.lines("Could not erase %s yet", "photos")
    assert log.lines("Could not erase %s yet", "avatars")
    assert log.lines("Could not erase %s yet", "avatars", level=logging.ERROR)
    for error in (OSError("a"), ValueError("a"), ValueError("b")):
        assert log.lines("A sweep failed", level=logging.ERROR, exc_info=(type(error), error, None))
    for number in ("a", "b"):
        token = request_id.set(number)
        assert log.lines("A request failed.", level=logging.ERROR)
        request_id.reset(token)


@pytest.mark.parametrize("level", [logging.INFO, logging.DEBUG])
def test_what_is_no_warning_is_always_logged(level: int) -> None:
    log = Log()
    assert all(log.lines("request", level=level) for _ in range(10))


def failure(first: bool) -> object:
    """The same error from one line or another."""
    try:
        if first:
            raise ValueError("a")
        raise ValueError("a")
    except ValueError:
        return sys.exc_info()


def test_the_same_error_from_another_line_is_another() -> None:
    log = Log()
    for first in (True, False):
        assert log.lines("A sweep failed", level=logging.ERROR, exc_info=failure(first))
        assert not log.lines("A sweep failed", level=logging.ERROR, exc_info=failure(first))


class Untold:
    """What has no text."""

    def __repr__(self) -> str:
        raise ValueError("no text")


@pytest.mark.parametrize(
    ("message", "args", "exc_info"),
    [
        ("%d bytes", ("many",), None),
        ("%s and %s", ("one",), None),
        ("no place", ("one",), None),
        ("%(name)s", ({"other": 1},), None),
        ("%s", (Untold(),), None),
        (["a list"], (), None),
        (Untold(), (), None),
        ("failed", (), (ValueError, ValueError(Untold()), None)),
    ],
)
def test_what_cannot_be_written_harms_nobody_who_logs_it(message: Any, args: Any, exc_info: Any) -> None:
    record = logging.LogRecord("likeness", logging.WARNING, "", 0, message, args, exc_info)
    assert OnceAWhile().filter(record)
