"""`likeness webhooks list` and `redrive`: what the platform could not be told yet, and telling it again."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Concatenate, Final, ParamSpec, TypeVar

if TYPE_CHECKING:
    import sqlalchemy as sa

    from likeness.records.outbox import Counts, Undelivered
    from likeness.settings import Settings

P = ParamSpec("P")
T = TypeVar("T")
MOST: Final = 1000


def add_webhooks(commands: Any, read: Callable[[argparse.Namespace], Settings]) -> None:
    """Add the command `webhooks`; `read` makes settings of its arguments."""
    about = "list what the platform could not be told yet, or tell it again"
    webhooks = commands.add_parser("webhooks", help=about).add_subparsers(required=True, metavar="COMMAND")
    listing = webhooks.add_parser("list", help="list webhooks that wait or were given up")
    listing.add_argument("--json", action="store_true", help="print JSON instead of a table")
    listing.set_defaults(run=lambda arguments: list_webhooks(read(arguments), as_json=arguments.json))
    again = webhooks.add_parser("redrive", help="send given-up webhooks again, for another 72 hours")
    since = "only those of the last N hours (default: all)"
    again.add_argument("--since", type=_hours, metavar="HOURS", help=since)
    again.set_defaults(run=lambda arguments: redrive_webhooks(read(arguments), arguments.since))
    for command in (listing, again):
        command.add_argument("--data", type=Path, metavar="DIR", help="data folder (default ./likeness-data)")
        command.add_argument("--config", type=Path, metavar="FILE", help="settings as TOML; see `likeness settings`")


def list_webhooks(settings: Settings, *, as_json: bool) -> int:
    """Print what waits and what was given up, the oldest first."""
    from likeness.cli.listing import print_json, print_table  # noqa: PLC0415 - help must not wait

    counts, rows = _run(settings, _undelivered)
    if as_json:
        print_json({"waiting": counts.waiting, "given_up": counts.given_up, "webhooks": rows})
        return 0
    if rows:
        headings = ["webhook", "state", "kind", "generation", "age", "attempts"]
        cells = [[row.id, row.state, row.kind, row.generation, _age(row.age_s), str(row.attempts)] for row in rows]
        print_table(headings, [list[str | None](line) for line in cells])
    more = counts.waiting + counts.given_up - len(rows)
    left_out = f" {more} newer ones are not listed." if more > 0 else ""
    print(f"{counts.waiting} waiting, {counts.given_up} given up.{left_out}")
    return 0


def redrive_webhooks(settings: Settings, hours: float | None) -> int:
    """Make given-up webhooks due, and say how many; a running server sends them."""
    count = _run(settings, _redrive, hours)
    print(f"{count} webhook{'s' * (count != 1)} will be sent again by the running servers, for up to 72 hours.")
    return 0


def _undelivered(connection: sa.Connection) -> tuple[Counts, list[Undelivered]]:
    from likeness.records import outbox  # noqa: PLC0415

    return outbox.counts(connection), outbox.undelivered(connection, MOST)


def _redrive(connection: sa.Connection, hours: float | None) -> int:
    from likeness.database import clock  # noqa: PLC0415
    from likeness.records import outbox  # noqa: PLC0415

    return outbox.redrive(connection, None if hours is None else clock(connection) - hours * 3600)


def _run(settings: Settings, query: Callable[Concatenate[sa.Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
    """A query in the settings' database, whose tables are looked at first."""
    from likeness.cli.serve import prepare  # noqa: PLC0415
    from likeness.database import Database  # noqa: PLC0415

    prepare(settings)
    database = Database(settings.database_url)
    try:
        return database.write(query, *args, **kwargs)
    finally:
        database.close()


def _hours(text: str) -> float:
    try:
        hours = float(text)
    except ValueError:
        hours = -1.0
    if not 0 < hours < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of hours, such as 24")
    return hours


def _age(seconds: float) -> str:
    """Such as 5 s, 12 min or 71.5 h."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 3600 else f"{seconds / 3600:.1f} h"
