"""The index: sealed objects, backups, proofs."""

from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create the tables; what they mean stands in `catalog/records.py`."""
    op.execute("""
        CREATE TABLE vault_object (
            key text PRIMARY KEY,
            kind text NOT NULL,
            database text,
            size_bytes bigint NOT NULL CHECK (size_bytes >= 0),
            sha256 text NOT NULL CHECK (sha256 ~ '^[0-9a-f]{64}$'),
            plaintext_bytes bigint NOT NULL CHECK (plaintext_bytes >= 0),
            compressed boolean NOT NULL,
            epoch_ids jsonb NOT NULL,
            version_id text,
            stored_at timestamptz NOT NULL
        )""")
    op.execute("""
        CREATE TABLE backup (
            backup_id text PRIMARY KEY,
            database text NOT NULL,
            method text NOT NULL,
            kind text NOT NULL,
            started_at timestamptz NOT NULL,
            finished_at timestamptz NOT NULL,
            system_identifier text NOT NULL,
            timeline integer NOT NULL,
            start_lsn text NOT NULL,
            stop_lsn text NOT NULL,
            restore_point text NOT NULL,
            stored_bytes bigint NOT NULL,
            plaintext_bytes bigint NOT NULL,
            manifest_key text NOT NULL,
            manifest_sha256 text NOT NULL
        )""")
    op.execute("CREATE INDEX backup_by_database ON backup (database, started_at DESC)")
    op.execute("""
        CREATE TABLE proof (
            proof_key text PRIMARY KEY,
            database text NOT NULL,
            backup_id text NOT NULL,
            result text NOT NULL CHECK (result IN ('proven', 'failed')),
            verified_at timestamptz NOT NULL,
            rto_seconds double precision,
            rpo_seconds double precision,
            levels jsonb NOT NULL
        )""")
    op.execute("CREATE INDEX proof_by_backup ON proof (backup_id, verified_at DESC)")
    op.execute("CREATE INDEX proof_by_database ON proof (database, verified_at DESC)")
