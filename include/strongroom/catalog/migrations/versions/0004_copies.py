"""Copies: the backups that each holds, its newest run, its proofs."""

from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Create the tables; what they mean stands in `catalog/copies.py`."""
    op.execute("""
        CREATE TABLE copied_backup (
            copy text NOT NULL,
            backup_id text NOT NULL,
            database text NOT NULL,
            copied_at timestamptz NOT NULL,
            locked_until timestamptz,
            PRIMARY KEY (copy, backup_id)
        )""")
    op.execute("""
        CREATE TABLE copy_run (
            copy text NOT NULL,
            database text NOT NULL,
            finished_at timestamptz NOT NULL,
            outcome text NOT NULL CHECK (outcome IN ('success', 'partial', 'failure')),
            copied_objects bigint NOT NULL,
            copied_bytes bigint NOT NULL,
            problems bigint NOT NULL,
            PRIMARY KEY (copy, database)
        )""")
    op.execute("""
        CREATE TABLE copy_proof (
            proof_key text PRIMARY KEY,
            copy text NOT NULL,
            database text NOT NULL,
            backup_id text NOT NULL,
            result text NOT NULL CHECK (result IN ('proven', 'failed')),
            verified_at timestamptz NOT NULL
        )""")
    op.execute("CREATE INDEX copy_proof_newest ON copy_proof (database, copy, verified_at DESC)")
