"""Which parts of an archive count: so that archived and live rows together are the original set at every instant.

A sweep moves rows in one transaction of the source database, which cannot also span the bucket. The commit of that
transaction is the one moment at which rows change sides, and it leaves a mark that shares its fate:

    manifest.json written → DELETE rows, INSERT INTO strongroom.archived_part, COMMIT → receipt.json written

| manifest | mark in the source | receipt | the rows are                                                      |
|----------|--------------------|---------|-------------------------------------------------------------------|
| yes      | no                 | no      | live; the next sweep takes the part away                          |
| yes      | yes                | no      | in the archive; the next sweep writes the receipt                 |
| yes      | yes                | yes     | in the archive                                                    |
| yes      | no                 | yes     | in both: the source was restored to a moment before they left it  |

Whoever has the source at hand reads the marks in the same snapshot as the live rows, and a part counts exactly when
its mark is there: that is exact at every instant and after every crash, also for a source that was restored to an
earlier moment. Without the source, the parts with a receipt count.

    CREATE TABLE strongroom.archived_part (
        part_id text PRIMARY KEY, table_name text, rows bigint, manifest_sha256 text,
        archived_at timestamptz, recorded_at timestamptz)

The mark is the outbox too: `recorded_at` is empty until the audit log has the event.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from psycopg import sql

from strongroom.archive.errors import ArchiveManifestError
from strongroom.archive.manifest import (
    MANIFEST_NAME,
    RECEIPT_NAME,
    PartManifest,
    PartReceipt,
    archive_prefix,
    read_manifest,
    read_receipt,
)
from strongroom.postgres import Connection, server_errors
from strongroom.signing import VerifierKey
from strongroom.storage import ObjectStore

SCHEMA = "strongroom"
MARKS = sql.Identifier(SCHEMA, "archived_part")


@dataclass(frozen=True)
class Part:
    """A part whose manifest is in the bucket."""

    manifest: PartManifest
    manifest_sha256: str
    receipt: PartReceipt | None

    @property
    def part_id(self) -> str:
        """The part's id."""
        return self.manifest.part_id


@dataclass(frozen=True)
class Mark:
    """What the source database keeps of rows that left it."""

    part_id: str
    table: str
    rows: int
    manifest_sha256: str
    archived_at: datetime
    recorded: bool
    """Whether the audit log has the event."""


def read_parts(
    store: ObjectStore, trusted: VerifierKey, database: str, table: str | None = None
) -> list[Part]:
    """The parts of a database, or of one table's rule, that have a manifest; oldest first.

    Raises:
        SignatureError, ArchiveManifestError: a manifest or receipt is not what it must be.
        StoreError: the listing failed, which does not mean that there is nothing.
    """
    keys = [info.key for info in store.list(archive_prefix(database, table))]
    receipts = {key.removesuffix(RECEIPT_NAME) for key in keys if key.endswith(f"/{RECEIPT_NAME}")}
    prefixes = [key.removesuffix(MANIFEST_NAME) for key in keys if key.endswith(f"/{MANIFEST_NAME}")]
    parts = [read_part(store, trusted, prefix, has_receipt=prefix in receipts) for prefix in prefixes]
    return sorted(parts, key=lambda part: (part.manifest.part_id, part.manifest.table))


def read_part(store: ObjectStore, trusted: VerifierKey, prefix: str, *, has_receipt: bool) -> Part:
    """One part.

    Args:
        store: where it lies.
        trusted: the key that must have signed it.
        prefix: below which key everything of it lies.
        has_receipt: whether its receipt is there.

    Raises:
        SignatureError, ArchiveManifestError: a manifest or receipt is not what it must be.
        ObjectNotFoundError: it is not there any more.
    """
    key = prefix + MANIFEST_NAME
    data = store.get_bytes(key)
    manifest = read_manifest(data, trusted, key)
    if manifest.prefix != prefix:
        raise ArchiveManifestError(f"{key} belongs to {manifest.prefix}: somebody moved it.")
    digest = hashlib.sha256(data).hexdigest()
    return Part(manifest, digest, _read_receipt(store, trusted, manifest, digest) if has_receipt else None)


def _read_receipt(
    store: ObjectStore, trusted: VerifierKey, manifest: PartManifest, digest: str
) -> PartReceipt:
    key = manifest.prefix + RECEIPT_NAME
    receipt = read_receipt(store.get_bytes(key), trusted, key)
    if (receipt.part_id, receipt.manifest_sha256) != (manifest.part_id, digest):
        raise ArchiveManifestError(f"{key} is about another manifest than the one beside it.")
    return receipt


def read_marks(connection: Connection, table: str | None = None) -> dict[str, Mark]:
    """The source's marks by part id, in the connection's snapshot; of one table's rule, or all.

    Raises:
        MissingPrivilegeError: the user may not read them.
    """
    with server_errors("The source database"):
        row = connection.execute("SELECT pg_catalog.to_regclass('strongroom.archived_part')").fetchone()
        if row is None or row[0] is None:
            return {}
        rows = connection.execute(
            sql.SQL(
                "SELECT part_id, table_name, rows, manifest_sha256, archived_at, recorded_at IS NOT NULL FROM {}"
                " WHERE %(table)s::text IS NULL OR table_name = %(table)s"
            ).format(MARKS),
            {"table": table},
        ).fetchall()
    return {row[0]: Mark(*row) for row in rows}


def parts_in_force(parts: Iterable[Part], marks: Mapping[str, Mark] | None) -> list[Part]:
    """The parts whose rows are in the archive and not in the source.

    Args:
        parts: of `read_parts`; read after the marks, or the newest may be missing.
        marks: of `read_marks`, in the snapshot in which live rows are read; None without the source.

    Raises:
        ArchiveManifestError: a mark names another manifest than the bucket has.
    """
    if marks is None:
        return [part for part in parts if part.receipt is not None]
    counted = [part for part in parts if part.part_id in marks]
    for part in counted:
        if marks[part.part_id].manifest_sha256 != part.manifest_sha256:
            raise ArchiveManifestError(
                f"{part.manifest.key} is not the manifest that the source database recorded.",
                hint="Somebody replaced it. With versions in the bucket, look for the recorded one.",
            )
    return counted
