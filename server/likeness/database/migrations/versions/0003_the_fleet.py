"""What a fleet needs: the queue's order, who is at a deletion, the audit, webhooks to send, chores of one at a time,
style packs that reach every process.

Only additions: servers and workers of the version before run on, beside those of this one.
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for table, column in (("generations", "goes_at"), ("deadlines", "again_at")):
        with op.batch_alter_table(table) as batch:
            batch.add_column(sa.Column(column, sa.Double(), nullable=False, server_default="0"))
    op.add_column("idempotency", sa.Column("answer", sa.Text(), nullable=True))
    op.create_table(
        "audit",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("subject", sa.String(length=200), nullable=False),
        sa.Column("due_at", sa.Double(), nullable=True),
        sa.Column("objects", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sqlite_autoincrement=True,
    )
    op.create_index("audit_at", "audit", ["at"])
    op.create_table(
        "webhooks",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("generation", sa.String(length=64), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("next_at", sa.Double(), nullable=False),
        sa.Column("until", sa.Double(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("delivered_at", sa.Double(), nullable=True),
        sa.Column("given_up_at", sa.Double(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("webhooks_due", "webhooks", ["delivered_at", "given_up_at", "next_at"])
    op.create_index("webhooks_of_generation", "webhooks", ["generation"])
    op.create_table(
        "chores",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("until", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "style_packs",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("version", sa.String(length=32), nullable=False),
        sa.Column("object", sa.String(length=200), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("installed_at", sa.Double(), nullable=False),
        sa.Column("withdrawn_at", sa.Double(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    offered = sa.text("withdrawn_at IS NULL")
    op.create_index(
        "style_packs_offered", "style_packs", ["name"], unique=True, sqlite_where=offered, postgresql_where=offered
    )
    _only_append(op.get_bind().dialect.name)


def _only_append(dialect: str) -> None:
    """Nobody changes or deletes what the audit says, not even this program."""
    refusal = "the audit is append-only"
    if dialect == "sqlite":
        for change in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER audit_{change.lower()} BEFORE {change} ON audit"
                f" BEGIN SELECT RAISE(ABORT, '{refusal}'); END"
            )
        return
    op.execute(
        "CREATE FUNCTION audit_only_appends() RETURNS trigger LANGUAGE plpgsql AS"
        f" $$ BEGIN RAISE EXCEPTION '{refusal}'; END $$"
    )
    op.execute(
        "CREATE TRIGGER audit_only_appends BEFORE UPDATE OR DELETE OR TRUNCATE ON audit"
        " FOR EACH STATEMENT EXECUTE FUNCTION audit_only_appends()"
    )


def downgrade() -> None:
    for table in ("style_packs", "chores", "webhooks", "audit"):
        op.drop_table(table)
    if op.get_bind().dialect.name != "sqlite":
        op.execute("DROP FUNCTION audit_only_appends()")
    for table, column in (("generations", "goes_at"), ("deadlines", "again_at"), ("idempotency", "answer")):
        with op.batch_alter_table(table) as batch:
            batch.drop_column(column)
