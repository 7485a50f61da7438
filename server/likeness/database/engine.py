"""Transactions on SQLite or PostgreSQL. Everything that reads or writes rows is a plain function
`(connection, ...)`, run by `read` or `write`; the server calls these from threads, workers directly.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Concatenate, Final, ParamSpec, TypeVar

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import ArgumentError, DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from likeness.errors import LikenessError, SettingsError

if TYPE_CHECKING:
    from alembic.config import Config

P = ParamSpec("P")
T = TypeVar("T")
MIGRATIONS: Final = Path(__file__).parent / "migrations"
# Attempts at emptying SQLite's write-ahead log, while readers still look at older states of it.
CHECKPOINTS: Final = 100
POOL: Final = 8
# How long anyone waits for a connection, a statement or a lock before they are told that the database does not answer.
PATIENCE_S: Final = 10
# A process that is stopped amid a transaction, or whose machine vanishes, must not hold its locks for long.
POSTGRESQL: Final = {
    "connect_timeout": PATIENCE_S,
    "keepalives_idle": PATIENCE_S,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "options": f"-c statement_timeout={PATIENCE_S}s -c idle_in_transaction_session_timeout={PATIENCE_S}s",
}
# Two transactions waited for each other, or wrote the same: PostgreSQL undoes one, which may be begun again.
COLLIDED: Final = ("40P01", "40001")
COLLISIONS: Final = 3
SQLITE_NOW: Final = "(julianday('now') - 2440587.5) * 86400.0"
POSTGRESQL_NOW: Final = "extract(epoch FROM clock_timestamp())::float8"
MIGRATING: Final = 0x11CE  # an advisory lock of ours


class UnavailableError(LikenessError):
    """The database does not answer, is locked or full; a later try may work. What was under way may be written."""

    code = "database_unavailable"
    status = 503

    def __init__(self) -> None:
        super().__init__("The database does not answer. Try again in a few seconds.")


class Database:
    """One pool of connections; safe for threads."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.is_sqlite = url.startswith("sqlite")
        try:
            self._engine = _sqlite_engine(url) if self.is_sqlite else _postgresql_engine(url)
        except (ArgumentError, ValueError) as error:
            raise SettingsError("The setting database is no URL. Write it as postgresql://user@host/name.") from error
        except ImportError as error:
            raise SettingsError("PostgreSQL needs its driver. Run `pip install 'likeness[postgres]'`.") from error
        snapshot = {"only_reads": True} if self.is_sqlite else {"isolation_level": "REPEATABLE READ"}
        self._readers = self._engine.execution_options(**snapshot)

    def read(self, query: Callable[Concatenate[sa.Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a query that only reads, in one snapshot."""
        with _translated(), self._readers.connect() as connection, connection.begin():
            return query(connection, *args, **kwargs)

    def write(self, query: Callable[Concatenate[sa.Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a query in a transaction that is durable when this returns, and undone when the query raises; begun
        again where another one was in its way.
        """
        with _translated():
            for _ in range(COLLISIONS):
                try:
                    with self._engine.begin() as connection:
                        return query(connection, *args, **kwargs)
                except OperationalError as error:
                    if getattr(error.orig, "sqlstate", None) not in COLLIDED:
                        raise
            with self._engine.begin() as connection:
                return query(connection, *args, **kwargs)

    def forget_deleted(self) -> bool:
        """Empty SQLite's write-ahead log, where deleted keys would stay readable; returns whether it is empty.

        `secure_delete` alone overwrites them in the database file only.
        """
        if not self.is_sqlite:
            return True
        for _ in range(CHECKPOINTS):
            with self._engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                busy = connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").one()[0]
            if not busy:
                return True
            time.sleep(0.02)
        return False

    def migrate(self) -> None:
        """Bring the tables to this version's form; of several processes at once, the others wait for the first."""
        from alembic import command  # noqa: PLC0415 - only a start needs it

        config = _alembic()
        with _translated(), self._engine.begin() as connection:
            if not self.is_sqlite:
                connection.exec_driver_sql("SET LOCAL statement_timeout = 0")
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(MIGRATING)))
            config.attributes["connection"] = connection
            command.upgrade(config, "head")

    def check_migrated(self) -> None:
        """Raise SettingsError when the tables lack what this version needs. Those of a newer version will do: its
        migrations only add, so that the versions of a rolling restart run side by side.
        """
        from alembic.migration import MigrationContext  # noqa: PLC0415
        from alembic.script import ScriptDirectory  # noqa: PLC0415

        scripts = ScriptDirectory.from_config(_alembic())
        with _translated(), self._engine.connect() as connection:
            current = MigrationContext.configure(connection).get_current_revision()
        older = {script.revision for script in scripts.walk_revisions()} - {scripts.get_current_head()}
        if current is None or current in older:
            raise SettingsError(
                "The database does not have the tables of this version. Run `likeness database upgrade` once, with the"
                " settings of this server, then start again."
            )

    def close(self) -> None:
        """Give all connections back."""
        self._engine.dispose()


@contextmanager
def _translated() -> Iterator[None]:
    """Turns the driver's errors about the server, not those about a statement, into UnavailableError."""
    try:
        yield
    except (OperationalError, InterfaceError, PoolTimeoutError) as error:
        raise UnavailableError from error
    except DBAPIError as error:
        if error.connection_invalidated:
            raise UnavailableError from error
        raise


def upsert(connection: sa.Connection, table: sa.Table) -> sqlite.Insert | postgresql.Insert:
    """The dialect's own INSERT, which knows ON CONFLICT."""
    return sqlite.insert(table) if connection.dialect.name == "sqlite" else postgresql.insert(table)


def insert_unless_there(connection: sa.Connection, table: sa.Table, **values: object) -> bool:
    """Insert a row unless its key is taken; returns whether it was inserted. Two at the same moment: one is."""
    insert = upsert(connection, table).values(values).on_conflict_do_nothing()
    return connection.execute(insert.returning(sa.literal(True))).first() is not None  # drivers count these differently


def now(connection: sa.Connection) -> sa.ColumnElement[float]:
    """The same as `clock`, inside a statement: no way there and back."""
    return sa.literal_column(SQLITE_NOW if connection.dialect.name == "sqlite" else POSTGRESQL_NOW, sa.Double)


def clock(connection: sa.Connection) -> float:
    """Seconds since 1970 by the database's clock, the one that all machines share."""
    return float(connection.execute(sa.select(now(connection))).scalar_one())


def _alembic() -> Config:
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    return config


def _postgresql_engine(url: str) -> sa.Engine:
    # Parameters are keys and digests: they are in no error's text.
    return sa.create_engine(
        url,
        pool_size=POOL,
        max_overflow=POOL // 2,
        pool_pre_ping=True,
        pool_timeout=PATIENCE_S,
        hide_parameters=True,
        connect_args=POSTGRESQL,
    )


def _sqlite_engine(url: str) -> sa.Engine:
    engine = sa.create_engine(url, pool_size=POOL, hide_parameters=True, connect_args={"timeout": 30})

    @event.listens_for(engine, "connect")
    def configure(connection: Any, _record: object) -> None:
        connection.isolation_level = None  # transactions begin below, not where the driver thinks best
        for pragma in (
            "journal_mode=WAL",
            "synchronous=FULL",
            "secure_delete=ON",
            "foreign_keys=ON",
            "busy_timeout=30000",
        ):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begin(connection: sa.Connection) -> None:
        if connection.get_execution_options().get("isolation_level") == "AUTOCOMMIT":
            return
        # A transaction that reads first and writes later would fail when another one wrote in between.
        reads = connection.get_execution_options().get("only_reads")
        connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")

    return engine
