"""Alembic's entry: migrates on the connection that `Database.migrate` opened."""

from alembic import context

from likeness.database.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,  # SQLite alters no tables in place
)
context.run_migrations()
