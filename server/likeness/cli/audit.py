"""`likeness audit`: whether the promise about deleting is kept, and everything that was deleted."""

from __future__ import annotations

import argparse
import datetime
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from likeness.records.audit import Entry
    from likeness.retention.promise import Promise
    from likeness.safe import Safe
    from likeness.settings import Settings

RETENTION: Final = """Look through every deadline, key and object for what should be gone and is not, and through the
audit for what went too late. Exits with 1 when there is any."""
DELETIONS: Final = "Print the audit, to which deletions are appended and nothing else is ever done."


def add_audit(commands: Any, settings_of: Callable[[argparse.Namespace], Settings]) -> None:
    """Add the command `audit`; `settings_of` reads the settings that a call is given."""
    audit = commands.add_parser("audit", help="check that what is past its deadline is gone")
    kinds = audit.add_subparsers(required=True, metavar="COMMAND")
    retention = kinds.add_parser("retention", help="what should be gone and is not", description=RETENTION)
    deletions = kinds.add_parser("deletions", help="what was deleted, and when", description=DELETIONS)
    for command, run in ((retention, audit_retention), (deletions, audit_deletions)):
        command.add_argument("--days", type=_days, default=7.0, metavar="N", help="days of the audit (default 7)")
        command.add_argument("--json", action="store_true", help="print JSON instead of a table")
        command.add_argument("--data", type=Path, metavar="DIR", help="data folder (default ./likeness-data)")
        command.add_argument("--config", type=Path, metavar="FILE", help="settings as TOML; see `likeness settings`")
        command.set_defaults(run=_with_settings(run, settings_of))


def audit_retention(settings: Settings, *, days: float, as_json: bool) -> int:
    """Check the promise, and print what was looked through and every finding; 1 when there is one."""
    from likeness.cli.listing import print_json  # noqa: PLC0415 - help must not wait
    from likeness.retention.promise import check_promise  # noqa: PLC0415

    with _opened(settings) as safe:
        promise = check_promise(safe, days=days)
    if as_json:
        print_json(promise)
    else:
        _print_promise(promise)
    return 1 if promise.findings else 0


def audit_deletions(settings: Settings, *, days: float, as_json: bool) -> int:
    """Print what the audit says of the last so many days."""
    from likeness.cli.listing import print_json, print_table  # noqa: PLC0415
    from likeness.records import audit  # noqa: PLC0415

    with _opened(settings) as safe:
        entries = safe.database.read(audit.since, safe.now() - days * 86400)
    if as_json:
        print_json(entries)
    else:
        print_table(["at", "kind", "what", "objects", "due", "late"], [_cells(entry) for entry in entries])
    return 0


@contextmanager
def _opened(settings: Settings) -> Iterator[Safe]:
    """What a server has; unlike a server, an audit makes no database where there is none."""
    from likeness.errors import SettingsError  # noqa: PLC0415
    from likeness.safe import open_safe  # noqa: PLC0415

    file = settings.database_url.removeprefix("sqlite:///")
    if file != settings.database_url and not Path(file).exists():
        raise SettingsError(
            f"There is no database {file}. Give the server's settings: --data, --config or LIKENESS_..."
        )
    safe = open_safe(settings)
    try:
        safe.database.check_migrated()
        yield safe
    finally:
        safe.close()


def _print_promise(promise: Promise) -> None:
    from likeness.cli.listing import print_table  # noqa: PLC0415
    from likeness.retention.promise import span  # noqa: PLC0415

    rows: list[list[str | None]] = [
        [check.what, str(check.looked_at), str(check.late), span(check.worst_s) if check.late else ""]
        for check in promise.checks
    ]
    print_table(["what", "looked at", "late or wrong", "worst by"], rows)
    for finding in promise.findings:
        print(finding.sentence)
    if promise.foreign:
        print(f"{promise.foreign} objects have names that are not Likeness's: they were left alone.")
    if not promise.findings:
        print("The promise is kept: nothing is late, and nothing is there that should be gone.")


def _cells(entry: Entry) -> list[str | None]:
    due, late = ("", "") if entry.due_at is None else (_moment(entry.due_at), f"{entry.at - entry.due_at:+.1f} s")
    return [_moment(entry.at), entry.kind, entry.subject, str(entry.objects), due, late]


def _moment(seconds: float) -> str:
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).isoformat(timespec="seconds")


def _with_settings(
    run: Callable[..., int], settings_of: Callable[[argparse.Namespace], Settings]
) -> Callable[[argparse.Namespace], int]:
    return lambda arguments: run(settings_of(arguments), days=arguments.days, as_json=arguments.json)


def _days(text: str) -> float:
    try:
        days = float(text)
    except ValueError:
        days = -1.0
    if not 0 < days <= 36500:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of days, such as 7 or 0.5")
    return days
