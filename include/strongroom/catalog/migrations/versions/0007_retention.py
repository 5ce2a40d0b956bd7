"""Retention: the plans that were made, for people to approve and for runs to carry out by their hash."""

from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Create the table; what it means stands in `catalog/retention.py`."""
    op.execute("""
        CREATE TABLE retention_plan (
            plan_sha256 text PRIMARY KEY CHECK (plan_sha256 ~ '^[0-9a-f]{64}$'),
            database text NOT NULL,
            made_at timestamptz NOT NULL,
            needs_approval boolean NOT NULL,
            document bytea NOT NULL,
            applied_at timestamptz
        )""")
    op.execute("CREATE INDEX ix_retention_plan_database ON retention_plan (database, made_at)")
