"""The audit log: the outbox, the sequenced entries, the Merkle tree's tiles, the signed head."""

from alembic import op

revision = "0002"
down_revision = "0001"

_TABLES = """
CREATE TABLE audit_queue (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    entry bytea NOT NULL CHECK (octet_length(entry) BETWEEN 2 AND 32768),
    event_id uuid NOT NULL UNIQUE,
    enqueued_at timestamptz NOT NULL DEFAULT now()
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000);

CREATE TABLE audit_entry (
    seq bigint PRIMARY KEY CHECK (seq >= 0),
    entry bytea NOT NULL,
    leaf_hash bytea NOT NULL CHECK (octet_length(leaf_hash) = 32),
    event_id uuid NOT NULL UNIQUE
);

CREATE TABLE audit_rejected (
    queue_id bigint PRIMARY KEY,
    entry bytea NOT NULL,
    event_id uuid NOT NULL,
    reason text NOT NULL,
    rejected_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE audit_tile (
    level smallint NOT NULL CHECK (level BETWEEN 0 AND 7),
    index bigint NOT NULL CHECK (index >= 0),
    width smallint NOT NULL CHECK (width BETWEEN 1 AND 256),
    data bytea NOT NULL,
    PRIMARY KEY (level, index),
    CHECK (octet_length(data) = width * 32)
);

CREATE TABLE audit_state (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    size bigint NOT NULL DEFAULT 0 CHECK (size >= 0),
    root bytea NOT NULL CHECK (octet_length(root) = 32),
    checkpoint text,
    published_size bigint NOT NULL DEFAULT 0 CHECK (published_size BETWEEN 0 AND size),
    published_at timestamptz
);

CREATE TABLE audit_person (
    name text PRIMARY KEY,
    salt bytea NOT NULL CHECK (octet_length(salt) = 32),
    since timestamptz NOT NULL DEFAULT now()
);

INSERT INTO audit_state (root) VALUES (sha256(''));
"""

_GUARDS = """
CREATE FUNCTION audit_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the audit log is append-only: % on % is refused', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'insufficient_privilege';
END $$;

CREATE FUNCTION audit_only_while_sealing() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF current_setting('strongroom.sealing', true) IS DISTINCT FROM 'on' THEN
        RAISE EXCEPTION 'only sealing the audit log may % on %', TG_OP, TG_TABLE_NAME
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_entry
    FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_rejected
    FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse();
CREATE TRIGGER append_only BEFORE UPDATE OR TRUNCATE ON audit_queue
    FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse();
CREATE TRIGGER no_delete BEFORE DELETE OR TRUNCATE ON audit_tile
    FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse();
CREATE TRIGGER no_delete BEFORE DELETE OR TRUNCATE ON audit_state
    FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse();
CREATE TRIGGER only_while_sealing BEFORE DELETE ON audit_queue
    FOR EACH STATEMENT EXECUTE FUNCTION audit_only_while_sealing();
CREATE TRIGGER only_while_sealing BEFORE INSERT ON audit_entry
    FOR EACH STATEMENT EXECUTE FUNCTION audit_only_while_sealing();
CREATE TRIGGER only_while_sealing BEFORE INSERT OR UPDATE ON audit_tile
    FOR EACH STATEMENT EXECUTE FUNCTION audit_only_while_sealing();
CREATE TRIGGER only_while_sealing BEFORE INSERT OR UPDATE ON audit_state
    FOR EACH STATEMENT EXECUTE FUNCTION audit_only_while_sealing();
"""

_PRIVILEGES = """
REVOKE ALL ON audit_queue, audit_entry, audit_rejected, audit_tile, audit_state, audit_person FROM PUBLIC;
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'strongroom_app') THEN
        GRANT INSERT ON audit_queue TO strongroom_app;
        GRANT SELECT, INSERT ON audit_person TO strongroom_app;
    END IF;
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'strongroom_auditor') THEN
        GRANT SELECT ON audit_queue, audit_entry, audit_rejected, audit_tile, audit_state
            TO strongroom_auditor;
    END IF;
END $$;
"""


def upgrade() -> None:
    """Create the tables, the triggers that keep them append-only, and the rights of the roles that exist."""
    for statements in (_TABLES, _GUARDS, _PRIVILEGES):
        op.execute(statements)
