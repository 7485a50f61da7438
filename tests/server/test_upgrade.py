"""`likeness database upgrade`: makes the tables of rows, queue and keys, as often as one likes, also at once."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from likeness.database import Database
from likeness.errors import SettingsError
from likeness.settings import Settings, read_settings
from tests.postgres import Postgres


def upgrade(main: str, keys: str, data: Path) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"LIKENESS_DATABASE": main, "LIKENESS_KEYS": keys}
    command = [sys.executable, "-m", "likeness", "database", "upgrade", "--data", str(data)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def names(url: str) -> set[str]:
    with psycopg.connect(url) as connection:
        rows = connection.execute("SELECT table_schema || '.' || table_name FROM information_schema.tables")
        return {name for (name,) in rows}


def test_several_at_once_make_all_tables(postgres: Postgres, tmp_path: Path) -> None:
    main, keys = postgres.create(), postgres.create()
    database = Database(Settings(database=main).database_url)
    with pytest.raises(SettingsError, match="likeness database upgrade"):
        database.check_migrated()
    with ThreadPoolExecutor(2) as pool:
        done = list(pool.map(lambda _: upgrade(main, keys, tmp_path), range(2)))
    assert [each.returncode for each in done] == [0, 0], [each.stderr for each in done]
    assert "has the tables of this version" in done[0].stdout
    assert {"public.generations", "public.audit", "dbos.workflow_status"} <= names(main)
    assert {"public.key_store"} <= names(keys)
    assert not list(tmp_path.iterdir())  # a fleet's machines need no folder
    database.check_migrated()
    database.close()


@pytest.mark.parametrize("command", [["database", "upgrade"], ["serve", "--no-worker"], ["worker"], ["purge"]])
@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("postgresql://nobody@127.0.0.1:1/likeness", "The database does not answer. Check the setting database"),
        ("postgresql://nobody@here:port/likeness", "The setting database is no URL."),
    ],
)
def test_a_wrong_database_is_one_sentence(command: list[str], url: str, said: str, tmp_path: Path) -> None:
    environment = os.environ | {"LIKENESS_DATABASE": url, "LIKENESS_KEYS": str(tmp_path / "keys")}
    full = [sys.executable, "-m", "likeness", *command, "--data", str(tmp_path / "data")]
    done = subprocess.run(full, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith(said)
    assert len(done.stderr.splitlines()) == 1
    assert not list(tmp_path.rglob("keys/*"))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"database": "postgresql://here/likeness"}, "need a place that all machines share"),
        ({"database": "postgresql://here/likeness", "keys": "postgres://here/likeness"}, "the same database"),
        ({"webhook_private": "perhaps"}, "webhook_private"),
        ({"database": "mysql://here/likeness", "keys": "elsewhere"}, "begins with postgresql:// or sqlite:///"),
        ({"database": "postgres//here", "keys": "elsewhere"}, "begins with postgresql:// or sqlite:///"),
    ],
)
def test_a_fleet_needs_a_place_for_its_keys(changes: dict[str, object], said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        read_settings(changes, environment={})
