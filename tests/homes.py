"""Where a server under test keeps everything: a folder, as embedded, or PostgreSQL and S3, as in a fleet."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any, Protocol

import psycopg

from tests.postgres import Postgres
from tests.s3 import S3Server


class Home(Protocol):
    """Settings and environment of the servers that live there, and a look behind their backs."""

    settings: dict[str, object]
    environment: dict[str, str]

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """What the database itself says."""

    def objects(self) -> list[str]:
        """The names of all objects in the store, temporary ones too."""


class FolderHome:
    """SQLite and a folder."""

    def __init__(self, folder: Path) -> None:
        self.settings: dict[str, object] = {}
        self.environment: dict[str, str] = {}
        self._folder = folder

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self._folder / "likeness.db")) as connection:
            return connection.execute(query).fetchall()

    def objects(self) -> list[str]:
        folder = self._folder / "objects"
        return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


class FleetHome:
    """A migrated database, a database of keys, and a bucket, all empty."""

    def __init__(self, postgres: Postgres, migrated: str, s3: S3Server) -> None:
        self._database, self._bucket = postgres.create(migrated), s3.bucket()
        self.settings: dict[str, object] = {
            "database": self._database,
            "keys": postgres.create(),
            "objects": self._bucket,
        }
        self.environment = s3.environment
        self._s3 = s3

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self._database) as connection:
            return connection.execute(query).fetchall()  # type: ignore[call-overload,no-any-return]

    def objects(self) -> list[str]:
        return self._s3.names(self._bucket)
