"""The one database: tables, migrations, and transactions as plain functions of a connection."""

from likeness.database.engine import Database, UnavailableError, clock, insert_unless_there, now, upsert

__all__ = ["Database", "UnavailableError", "clock", "insert_unless_there", "now", "upsert"]
