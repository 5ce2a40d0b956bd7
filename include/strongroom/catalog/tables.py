"""The control database's own tables: an index of what the bucket holds, which is the truth.

The audit log's tables belong to `strongroom.audit`; the migrations of both stand in `catalog/migrations`.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Float,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
)
from sqlalchemy.dialects.postgresql import JSONB

metadata = MetaData()

vault_object = Table(
    "vault_object",
    metadata,
    Column("key", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("database", Text),
    Column("size_bytes", BigInteger, nullable=False),
    Column("sha256", Text, nullable=False),
    Column("plaintext_bytes", BigInteger, nullable=False),
    Column("compressed", Boolean, nullable=False),
    Column("epoch_ids", JSONB, nullable=False),
    Column("version_id", Text),
    Column("stored_at", DateTime(timezone=True), nullable=False),
)

backup = Table(
    "backup",
    metadata,
    Column("backup_id", Text, primary_key=True),
    Column("database", Text, nullable=False, index=True),
    Column("method", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("started_at", DateTime(timezone=True), nullable=False),
    Column("finished_at", DateTime(timezone=True), nullable=False),
    Column("system_identifier", Text, nullable=False),
    Column("timeline", Integer, nullable=False),
    Column("start_lsn", Text, nullable=False),
    Column("stop_lsn", Text, nullable=False),
    Column("restore_point", Text, nullable=False),
    Column("stored_bytes", BigInteger, nullable=False),
    Column("plaintext_bytes", BigInteger, nullable=False),
    Column("manifest_key", Text, nullable=False),
    Column("manifest_sha256", Text, nullable=False),
    Column("parent_id", Text),
    Column("full_id", Text),
)

server_manifest = Table(
    "server_manifest",
    metadata,
    Column("backup_id", Text, primary_key=True),
    Column("database", Text, nullable=False, index=True),
    Column("piece", Integer, primary_key=True),
    Column("content", LargeBinary, nullable=False),
)

proof = Table(
    "proof",
    metadata,
    Column("proof_key", Text, primary_key=True),
    Column("database", Text, nullable=False, index=True),
    Column("backup_id", Text, nullable=False, index=True),
    Column("result", Text, nullable=False),
    Column("verified_at", DateTime(timezone=True), nullable=False),
    Column("rto_seconds", Float),
    Column("rpo_seconds", Float),
    Column("levels", JSONB, nullable=False),
)

copied_backup = Table(
    "copied_backup",
    metadata,
    Column("copy", Text, primary_key=True),
    Column("backup_id", Text, primary_key=True),
    Column("database", Text, nullable=False),
    Column("copied_at", DateTime(timezone=True), nullable=False),
    Column("locked_until", DateTime(timezone=True)),
)

copy_run = Table(
    "copy_run",
    metadata,
    Column("copy", Text, primary_key=True),
    Column("database", Text, primary_key=True),
    Column("finished_at", DateTime(timezone=True), nullable=False),
    Column("outcome", Text, nullable=False),
    Column("copied_objects", BigInteger, nullable=False),
    Column("copied_bytes", BigInteger, nullable=False),
    Column("problems", BigInteger, nullable=False),
)

copy_proof = Table(
    "copy_proof",
    metadata,
    Column("proof_key", Text, primary_key=True),
    Column("copy", Text, nullable=False),
    Column("database", Text, nullable=False),
    Column("backup_id", Text, nullable=False),
    Column("result", Text, nullable=False),
    Column("verified_at", DateTime(timezone=True), nullable=False),
)

approval = Table(
    "approval",
    metadata,
    Column("plan_sha256", Text, primary_key=True),
    Column("run", Text, primary_key=True),
    Column("requested_by", Text, nullable=False),
    Column("approved_by", Text, nullable=False),
    Column("approved_at", DateTime(timezone=True), nullable=False),
)

archive_part = Table(
    "archive_part",
    metadata,
    Column("part_id", Text, primary_key=True),
    Column("database", Text, nullable=False, index=True),
    Column("table_name", Text, nullable=False),
    Column("period", Text, nullable=False),
    Column("method", Text, nullable=False),
    Column("rows", BigInteger, nullable=False),
    Column("stored_bytes", BigInteger, nullable=False),
    Column("archived_at", DateTime(timezone=True), nullable=False),
    Column("delete_after", DateTime(timezone=True), nullable=False),
    Column("manifest_key", Text, nullable=False),
    Column("manifest_sha256", Text, nullable=False),
)

archive_sweep = Table(
    "archive_sweep",
    metadata,
    Column("database", Text, primary_key=True),
    Column("table_name", Text, primary_key=True),
    Column("finished_at", DateTime(timezone=True), nullable=False),
    Column("cutoff", DateTime(timezone=True), nullable=False),
    Column("moved_rows", BigInteger, nullable=False),
    Column("held_rows", BigInteger, nullable=False),
)

retention_plan = Table(
    "retention_plan",
    metadata,
    Column("plan_sha256", Text, primary_key=True),
    Column("database", Text, nullable=False, index=True),
    Column("made_at", DateTime(timezone=True), nullable=False),
    Column("needs_approval", Boolean, nullable=False),
    Column("document", LargeBinary, nullable=False),
    Column("applied_at", DateTime(timezone=True)),
)

legal_hold = Table(
    "legal_hold",
    metadata,
    Column("hold_id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("database", Text, nullable=False),
    Column("table", Text),
    Column("person", Text),
    Column("since", DateTime(timezone=True)),
    Column("until", DateTime(timezone=True)),
    Column("backup_id", Text),
    Column("reason", Text, nullable=False),
    Column("placed_by", Text),
    Column("placed_at", DateTime(timezone=True), nullable=False),
    Column("released_at", DateTime(timezone=True)),
)

held_version = Table(
    "held_version",
    metadata,
    Column("store", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("version_id", Text, primary_key=True),
    Column("state", Text, nullable=False),
)

approval_request = Table(
    "approval_request",
    metadata,
    Column("run", Text, primary_key=True),
    Column("plan_sha256", Text, nullable=False),
    Column("requested_by", Text, nullable=False),
    Column("requested_at", DateTime(timezone=True), nullable=False),
)

policy_check = Table(
    "policy_check",
    metadata,
    Column("database", Text, primary_key=True),
    Column("checked_at", DateTime(timezone=True), nullable=False),
    Column("catalogue_sha256", Text, nullable=False),
    Column("catalogue", JSONB, nullable=False),
    Column("findings", BigInteger, nullable=False),
    Column("agreed_at", DateTime(timezone=True)),
    Column("policy_sha256", Text),
    Column("policy", JSONB(none_as_null=True)),
)
