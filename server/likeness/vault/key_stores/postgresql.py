"""Keys as rows of a PostgreSQL database of their own, which all machines of a fleet reach."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import ArgumentError, ProgrammingError, SQLAlchemyError

from likeness.database.engine import MIGRATING, PATIENCE_S, POOL, POSTGRESQL
from likeness.errors import SettingsError
from likeness.vault.errors import KeyGoneError, StorageError, VaultError
from likeness.vault.key_stores.base import checked
from likeness_plugins import KeyStore

# A key is read in a millisecond; a fleet's idle connections count against the one server.
IDLE: Final = 2
UNDEFINED_TABLE: Final = "42P01"
TABLE: Final = sa.table("key_store", sa.column("name", sa.String), sa.column("data", sa.LargeBinary))
# The planner's statistics would be a second copy of the keys.
PREPARE: Final = f"""DO $$ BEGIN
    PERFORM pg_advisory_xact_lock({MIGRATING});
    IF to_regclass('key_store') IS NULL THEN
        CREATE TABLE key_store (name varchar(64) PRIMARY KEY, data bytea NOT NULL);
        ALTER TABLE key_store ALTER COLUMN data SET STATISTICS 0;
    END IF;
END $$"""
# One statement, so that no process can stop amid it with the lock in its hand. Whoever waits for the lock looks at the
# table afterwards, so that no reader ever misses a key that stays.
DESTROY: Final = """DO $$ DECLARE kept key_store[]; BEGIN
    SET LOCAL lock_timeout = '2s';
    LOCK TABLE key_store IN ACCESS EXCLUSIVE MODE;
    DELETE FROM key_store WHERE name = '{name}';
    IF FOUND THEN
        SELECT array_agg(each) INTO kept FROM key_store AS each;
        TRUNCATE key_store;
        INSERT INTO key_store SELECT * FROM unnest(kept);
    END IF;
END $$"""


class PostgresKeyStore(KeyStore):
    """The table `key_store`; its role may select, insert, delete and truncate, and to make it, create.

    A deleted row stays readable in its page until a vacuum, and even VACUUM FULL keeps it for a session that began
    before. So what stays is written anew and the old file is given up, in one transaction with the deletion. The
    server's write-ahead log still holds a destroyed key until the log's file is overwritten or, with wal_recycle off,
    deleted, which no client can hasten; a server that crashes amid `destroy` may leave a file with all keys of that
    moment, which nothing names; and a log of statements would have the keys that are added. Therefore the keys are on
    a server of their own, on an encrypted disk, without replicas, archived log, physical backups or logged statements.

    An outage is a StorageError; a missing table that may not be made, or a missing right, a VaultError.
    """

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def read(self, name: str) -> bytes | None:
        """One query; nothing is kept here."""
        chosen = sa.select(TABLE.c.data).where(TABLE.c.name == checked(name))
        return next(iter(self._run(chosen)), None)

    def add(self, name: str, data: bytes) -> bytes:
        """Raises KeyGoneError when someone destroys the key at this moment."""
        new = insert(TABLE).values(name=checked(name), data=data).on_conflict_do_nothing()
        if self._run(new.returning(TABLE.c.data)):
            return data
        kept = self.read(name)
        if kept is None:
            raise KeyGoneError
        return kept

    def names(self) -> list[str]:
        """One query."""
        return list(self._run(sa.select(TABLE.c.name).order_by(TABLE.c.name)))

    def destroy(self, name: str) -> None:
        """Waits two seconds at most for other processes, which wait a few milliseconds for this one."""
        self._run(sa.text(DESTROY.format(name=checked(name))))

    def prepare(self) -> None:
        """Make the table if it is missing; of several processes at once, one makes it."""
        with _translated(), self._engine.connect() as connection:
            connection.exec_driver_sql(PREPARE)

    def close(self) -> None:
        """Give all connections back."""
        self._engine.dispose()

    def _run(self, statement: sa.Executable) -> list[Any]:
        """The first column of a statement's rows; the table is made where it is missing."""
        with _translated():
            try:
                return self._execute(statement)
            except ProgrammingError as error:
                if getattr(error.orig, "sqlstate", None) != UNDEFINED_TABLE:
                    raise
        self.prepare()
        with _translated():
            return self._execute(statement)

    def _execute(self, statement: sa.Executable) -> list[Any]:
        with self._engine.connect() as connection:
            result = connection.execute(statement)
            return list(result.scalars()) if result.returns_rows else []


def open_store(location: str) -> PostgresKeyStore:
    """A database's SQLAlchemy URL; raises SettingsError."""
    try:
        engine = sa.create_engine(
            location,
            pool_size=IDLE,
            max_overflow=POOL - IDLE,
            pool_pre_ping=True,
            pool_timeout=PATIENCE_S,
            hide_parameters=True,
            isolation_level="AUTOCOMMIT",
            connect_args=POSTGRESQL,
        )
    except (ArgumentError, ImportError) as error:
        raise SettingsError(
            "keys is no URL of a PostgreSQL database. Write it as postgresql://user@host/database."
        ) from error
    return PostgresKeyStore(engine)


@contextmanager
def _translated() -> Iterator[None]:
    """Turns the driver's errors into StorageError, or VaultError where trying again will not help."""
    try:
        yield
    except ProgrammingError as error:
        raise VaultError(
            "The database of the keys refuses: its table key_store is missing or may not be used. Run"
            " `likeness database upgrade` once as a role that may create tables, and grant the server's role SELECT,"
            " INSERT, DELETE and TRUNCATE."
        ) from error
    except SQLAlchemyError as error:
        raise StorageError(
            "The database of the keys does not answer. Try again in a few seconds; if it lasts, check the setting keys."
        ) from error
