"""Legal holds, the object versions that they lock, and what waits for a second person at the command line."""

from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Create the tables; what they mean stands in `catalog/holds.py`."""
    op.execute("""
        CREATE TABLE legal_hold (
            hold_id text PRIMARY KEY,
            kind text NOT NULL CHECK (kind IN ('database', 'table', 'person', 'period', 'backup')),
            database text NOT NULL,
            "table" text,
            person text,
            since timestamptz,
            until timestamptz,
            backup_id text,
            reason text NOT NULL,
            placed_by text,
            placed_at timestamptz NOT NULL,
            released_at timestamptz
        )""")
    op.execute("""
        CREATE TABLE held_version (
            store text NOT NULL,
            key text NOT NULL,
            version_id text NOT NULL,
            state text NOT NULL CHECK (state IN ('pending', 'ours', 'foreign')),
            PRIMARY KEY (store, key, version_id)
        )""")
    op.execute("""
        CREATE TABLE approval_request (
            run text PRIMARY KEY,
            plan_sha256 text NOT NULL CHECK (plan_sha256 ~ '^[0-9a-f]{64}$'),
            requested_by text NOT NULL,
            requested_at timestamptz NOT NULL
        )""")
