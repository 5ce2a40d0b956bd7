"""Chains of incremental backups, and PostgreSQL's manifest of the newest backup of each database."""

from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add the columns and the table; what they mean stands in `catalog/records.py`."""
    op.execute("ALTER TABLE backup ADD COLUMN parent_id text, ADD COLUMN full_id text")
    op.execute("""
        CREATE TABLE server_manifest (
            backup_id text NOT NULL,
            database text NOT NULL,
            piece integer NOT NULL CHECK (piece >= 0),
            content bytea NOT NULL,
            PRIMARY KEY (backup_id, piece)
        )""")
    op.execute("CREATE INDEX server_manifest_by_database ON server_manifest (database)")
