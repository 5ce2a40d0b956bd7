"""Archives: an index of the parts in the bucket, and each table's last sweep."""

from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Create the tables."""
    op.execute("""
        CREATE TABLE archive_part (
            part_id text PRIMARY KEY,
            database text NOT NULL,
            table_name text NOT NULL,
            period text NOT NULL,
            method text NOT NULL CHECK (method IN ('rows', 'partition')),
            rows bigint NOT NULL CHECK (rows >= 0),
            stored_bytes bigint NOT NULL,
            archived_at timestamptz NOT NULL,
            delete_after timestamptz NOT NULL,
            manifest_key text NOT NULL,
            manifest_sha256 text NOT NULL CHECK (manifest_sha256 ~ '^[0-9a-f]{64}$')
        )""")
    op.execute("CREATE INDEX ix_archive_part_database ON archive_part (database)")
    op.execute("""
        CREATE TABLE archive_sweep (
            database text NOT NULL,
            table_name text NOT NULL,
            finished_at timestamptz NOT NULL,
            cutoff timestamptz NOT NULL,
            moved_rows bigint NOT NULL,
            held_rows bigint NOT NULL,
            PRIMARY KEY (database, table_name)
        )""")
