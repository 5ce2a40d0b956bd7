"""The rows of the control database, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class ObjectRecord:
    """A sealed object in the bucket."""

    key: str
    kind: str
    database: str | None
    size_bytes: int
    sha256: str
    """Of the sealed bytes, in hexadecimal."""
    plaintext_bytes: int
    compressed: bool
    epoch_ids: tuple[str, ...]
    """The key epochs that can open it."""
    version_id: str | None
    stored_at: datetime


@dataclass(frozen=True)
class BackupRecord:
    """A complete backup: its manifest is in the bucket."""

    backup_id: str
    database: str
    method: str
    kind: str
    started_at: datetime
    finished_at: datetime
    """By the clock of the database that was backed up, as `started_at`."""
    system_identifier: str
    timeline: int
    start_lsn: str
    stop_lsn: str
    restore_point: str
    stored_bytes: int
    plaintext_bytes: int
    manifest_key: str
    manifest_sha256: str
    parent_id: str | None = None
    """The backup that an incremental one builds on; None for a full one."""
    full_id: str | None = None
    """The full backup at the beginning of its chain; None for a full one."""


@dataclass(frozen=True)
class ProofRecord:
    """What a verification found: `proven` or `failed`, with the state of each level."""

    proof_key: str
    database: str
    backup_id: str
    result: str
    verified_at: datetime
    rto_seconds: float | None
    rpo_seconds: float | None
    levels: Mapping[str, str]
    """Level (`L0` …) to status (`passed`, `failed`, `skipped`, `not_applicable`)."""


@dataclass(frozen=True)
class ApprovalRecord:
    """A plan that a second person approved, for one run. It is no index of the bucket: it is decided here."""

    plan_sha256: str
    run: str
    """The run that it was approved for: `<DAG id>/<run id>`."""
    requested_by: str
    """The account of the person who asked."""
    approved_by: str
    approved_at: datetime


@dataclass(frozen=True)
class ArchivePartRecord:
    """Rows that left a table for the archive together, and the signed manifest that says so."""

    part_id: str
    database: str
    table_name: str
    period: str
    method: str
    rows: int
    stored_bytes: int
    archived_at: datetime
    delete_after: datetime
    manifest_key: str
    manifest_sha256: str


@dataclass(frozen=True)
class ArchiveSweepRecord:
    """The last sweep of a table that came to its end. It is no index of the bucket."""

    database: str
    table_name: str
    finished_at: datetime
    cutoff: datetime
    """Rows before this moment were due."""
    moved_rows: int
    held_rows: int
    """Rows that were due and stayed, since something refers to them."""
