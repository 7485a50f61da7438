"""`likeness webhooks`: what waits and what was given up, and sending it again."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from likeness.cli.serve import prepare
from likeness.cli.webhooks import add_webhooks
from likeness.database import Database, clock, tables
from likeness.records import outbox
from likeness.settings import Settings
from tests.webhooks.platform import SECRET

Run = Callable[..., int]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data=tmp_path / "data", webhook_url="https://receiver.test/hook", webhook_secret=SECRET)


@pytest.fixture
def run(settings: Settings) -> Run:
    """The command, of this server."""
    parser = argparse.ArgumentParser()

    def read(arguments: argparse.Namespace) -> Settings:
        assert arguments.data == settings.data
        return settings

    add_webhooks(parser.add_subparsers(), read)

    def run(*words: str) -> int:
        arguments = parser.parse_args(["webhooks", *words, "--data", str(settings.data)])
        return int(arguments.run(arguments))

    return run


@pytest.fixture
def database(settings: Settings) -> Iterator[Database]:
    """One row that was given up and is 80 hours old, and one that waits."""
    prepare(settings)
    database = Database(settings.database_url)
    database.write(outbox.tell, settings, "photos.deleted", "lost")
    now = database.read(clock)
    lost = sa.update(tables.webhooks).values(created_at=now - 80 * 3600, given_up_at=now, attempts=47)
    database.write(lambda connection: connection.execute(lost))
    database.write(outbox.tell, settings, "generation.done", "g")
    yield database
    database.close()


def test_an_empty_outbox(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("list") == 0
    assert capsys.readouterr().out == "0 waiting, 0 given up.\n"


def test_listed_as_a_table(run: Run, database: Database, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("list") == 0
    heading, lost, waiting, total = (line.split() for line in capsys.readouterr().out.splitlines())
    assert heading == ["webhook", "state", "kind", "generation", "age", "attempts"]
    assert lost[1:] == ["given", "up", "photos.deleted", "lost", "80.0", "h", "47"]
    assert (waiting[1:4], waiting[-1]) == (["waiting", "generation.done", "g"], "0")
    assert total == ["1", "waiting,", "1", "given", "up."]


def test_listed_as_json(run: Run, database: Database, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("list", "--json") == 0
    listed = json.loads(capsys.readouterr().out)
    assert (listed["waiting"], listed["given_up"]) == (1, 1)
    lost, waiting = listed["webhooks"]
    assert (lost["state"], lost["kind"], lost["attempts"]) == ("given up", "photos.deleted", 47)
    assert (waiting["state"], waiting["generation"]) == ("waiting", "g")


@pytest.mark.parametrize(("words", "count"), [((), 1), (("--since", "81"), 1), (("--since", "79.5"), 0)])
def test_redriven(
    run: Run, database: Database, words: tuple[str, ...], count: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("redrive", *words) == 0
    assert capsys.readouterr().out.startswith(f"{count} webhook{'s' * (count != 1)} will be sent again")
    assert database.read(outbox.counts).given_up == 1 - count
    assert len(database.write(outbox.take, 8, 30.0)) == 1 + count


@pytest.mark.parametrize("hours", ["0", "-1", "day", "nan", "inf"])
def test_hours_that_are_none(run: Run, hours: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        run("redrive", f"--since={hours}")
    assert ended.value.code == 2
    assert f"'{hours}' is not a number of hours" in capsys.readouterr().err
