"""What is wrong with a query or JSON body, in our words: the framework's name types, and innocent fields."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, Final

from litestar.enums import ParamType
from litestar.exceptions import HTTPException

_KINDS: Final = {
    "int": "a whole number",
    "float": "a number with a fraction",
    "str": "a text",
    "bool": "true or false",
    "null": "null",
    "array": "a list",
    "object": "an object",
}
_BODIES: Final = (
    ("Invalid UTF-8", "The body is not UTF-8. Send JSON as UTF-8."),
    ("Input data was truncated", "The body is not whole JSON. Send all of it."),
    ("JSON is malformed", "The body is not JSON. Send JSON."),
)
_BODY: Final = "data"  # Litestar's name of it
LONGEST: Final = 40
SCHEMA: Final = "GET /schema says what to send."


def describe(error: HTTPException) -> str:
    """Sentences for a user: each field at fault, and what it takes."""
    if said := " ".join(_sentences(error.extra if isinstance(error.extra, list) else [])):
        return f"{said} {SCHEMA}"
    known = (said for begin, said in _BODIES if error.detail.startswith(begin))
    return next(known, f"{error.detail.rstrip('.')}. {SCHEMA}")


def _sentences(faults: list[Any]) -> Iterator[str]:
    for fault in faults:
        key, message = str(fault.get("key", _BODY)), str(fault.get("message", ""))
        if message == repr(key) != repr(_BODY):
            continue  # not read at all, since another is wrong
        yield _sentence(_named(key, fault.get("source")), message)


def _named(key: str, source: object) -> str:
    if key == _BODY:
        return "The body"
    return f"The query parameter {key}" if source == ParamType.QUERY else f"The field {key}"


def _sentence(name: str, message: str) -> str:
    """One of msgspec's messages in our words; `name` is what it is about."""
    for pattern, said in _SENTENCES:
        if found := re.search(pattern, message, re.DOTALL):
            return said(name, *found.groups())
    return f"{name} is wrong."


def _kinds(types: str) -> str:
    return " or ".join(_KINDS.get(each, each) for each in types.split(" | "))


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."


_SENTENCES: Final[tuple[tuple[str, Callable[..., str]], ...]] = (
    (f"^{_BODY!r}$", lambda name: f"{name} is empty."),
    ("missing required field `(.*)`", lambda _, field: f"The field {field} is missing."),
    ("unknown field `(.*)`", lambda _, field: f"The field {_cut(field)} is not known."),
    ("Invalid enum value (.*)", lambda name, value: f"{name} does not take {_cut(value)}."),
    (r"of length <= (\d+)", lambda name, most: f"{name} may have at most {most} characters."),
    (r">= (\d+)", lambda name, least: f"{name} must be at least {least}."),
    (r"<= (\d+)", lambda name, most: f"{name} must be at most {most}."),
    ("Expected `(.*)`, got `(.*)`", lambda name, *kinds: f"{name} must be {_kinds(kinds[0])}, not {_kinds(kinds[1])}."),
)
