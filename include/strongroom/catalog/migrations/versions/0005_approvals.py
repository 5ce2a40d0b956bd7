"""Approvals: plans that a second person has approved for a run."""

from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Create the table; the server too refuses that one person is both."""
    op.execute("""
        CREATE TABLE approval (
            plan_sha256 text NOT NULL CHECK (plan_sha256 ~ '^[0-9a-f]{64}$'),
            run text NOT NULL,
            requested_by text NOT NULL,
            approved_by text NOT NULL CHECK (lower(approved_by) <> lower(requested_by)),
            approved_at timestamptz NOT NULL,
            PRIMARY KEY (plan_sha256, run)
        )""")
