"""The one database: tables, migrations, and transactions as plain functions of a connection."""

from likeness.database.engine import Database, clock

__all__ = ["Database", "clock"]
