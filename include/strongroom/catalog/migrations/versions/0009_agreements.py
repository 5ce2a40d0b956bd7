"""Agreements: the catalogue that each database was last seen with, and the policy that last agreed with it."""

from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Create the table."""
    op.execute("""
        CREATE TABLE policy_check (
            database text PRIMARY KEY,
            checked_at timestamptz NOT NULL,
            catalogue_sha256 text NOT NULL CHECK (catalogue_sha256 ~ '^[0-9a-f]{64}$'),
            catalogue jsonb NOT NULL,
            findings bigint NOT NULL CHECK (findings >= 0),
            agreed_at timestamptz,
            policy_sha256 text CHECK (policy_sha256 ~ '^[0-9a-f]{64}$'),
            policy jsonb,
            CHECK (num_nonnulls(agreed_at, policy_sha256, policy) IN (0, 3))
        )""")
