"""What sweeps that were killed left: each part comes to its end, one way or the other (see `standing`).

Only under the table's lock on the source, held by the session that will sweep: then the session of a killed sweep has
ended, so its transaction has committed or never will.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass

from strongroom.archive.errors import ArchiveDivergedError
from strongroom.archive.manifest import (
    MANIFEST_NAME,
    RECEIPT_NAME,
    PartManifest,
    PartReceipt,
    PartSource,
    archive_prefix,
)
from strongroom.archive.marks import mark_recorded
from strongroom.archive.standing import Mark, Part, read_marks, read_parts
from strongroom.audit import EventType, Target
from strongroom.catalog import ArchivePartRecord, ArchivePartRepository, ObjectRepository
from strongroom.errors import StrongroomError
from strongroom.postgres import Connection
from strongroom.recording import RunLog
from strongroom.signing import SignerKey
from strongroom.storage import ObjectExistsError, ObjectLockedError, ObjectStore


@dataclass(frozen=True)
class Settled:
    """What was done about parts of killed sweeps."""

    finished: int
    discarded: int


def settle(
    connection: Connection,
    store: ObjectStore,
    signer: SignerKey,
    log: RunLog,
    source: PartSource,
    database: str,
    table: str,
) -> Settled:
    """Finish the parts whose rows have left, take the others away.

    A part of another server is left alone: this one cannot tell whether its rows have left there.

    Raises:
        ArchiveDivergedError: the bucket has a receipt for rows that the source does not know to be gone.
    """
    marks = read_marks(connection, table)
    parts = read_parts(store, signer.verifier, database, table)
    _check_not_diverged(parts, marks)
    finished = discarded = 0
    for part in parts:
        mark = marks.get(part.part_id)
        if mark is None and part.manifest.source != source:
            continue
        if mark is None:
            discarded += _discard(store, log, part.manifest)
        elif part.receipt is None or not mark.recorded:
            finish(connection, store, signer, log, part)
            finished += 1
    _index(log, [part for part in parts if part.part_id in marks])
    discarded += _remove_debris(
        store, log, archive_prefix(database, table), {*marks, *(part.part_id for part in parts)}
    )
    return Settled(finished, discarded)


def finish(connection: Connection, store: ObjectStore, signer: SignerKey, log: RunLog, part: Part) -> None:
    """Write the receipt of a part whose rows have left, and record it: catalogue, audit log, then the mark. Again is
    harmless."""
    manifest = part.manifest
    committed_at = read_marks(connection, manifest.table)[part.part_id].archived_at
    receipt = PartReceipt(
        manifest.part_id, manifest.database, manifest.table, part.manifest_sha256, committed_at
    )
    with suppress(ObjectExistsError):
        store.put_bytes(manifest.prefix + RECEIPT_NAME, receipt.sign(signer))
    parts = ArchivePartRepository()
    with log.transaction() as control:
        if parts.find(control, part.part_id) is None:
            parts.add(control, part_record(part))
            log.sink.emit(
                control,
                log.event(
                    EventType.ARCHIVE_PART_COMMIT,
                    "result",
                    "success",
                    target=Target("archive", manifest.key),
                    counts={"rows": manifest.rows, "stored_bytes": manifest.size_bytes},
                    hashes={"manifest_sha256": part.manifest_sha256},
                    details={"method": manifest.method, "period": manifest.period},
                ),
            )
    mark_recorded(connection, part.part_id)


def _index(log: RunLog, parts: list[Part]) -> None:
    """Enter parts that the control database does not know: it may have been made anew since."""
    repository = ArchivePartRepository()
    with log.transaction() as control:
        known = {record.part_id for record in repository.list(control, log.database)}
        for part in parts:
            if part.part_id not in known:
                repository.add(control, part_record(part))


def part_record(part: Part) -> ArchivePartRecord:
    """What the control database keeps of a part."""
    manifest = part.manifest
    return ArchivePartRecord(
        part_id=manifest.part_id,
        database=manifest.database,
        table_name=manifest.table,
        period=manifest.period,
        method=manifest.method,
        rows=manifest.rows,
        stored_bytes=manifest.size_bytes,
        archived_at=manifest.archived_at,
        delete_after=manifest.delete_after,
        manifest_key=manifest.key,
        manifest_sha256=part.manifest_sha256,
    )


def remove_unfinished(store: ObjectStore, prefix: str) -> None:
    """Take away what was stored for a part without a manifest, as far as that is possible now."""
    with suppress(StrongroomError):
        _delete(store, prefix)


def _check_not_diverged(parts: Iterable[Part], marks: dict[str, Mark]) -> None:
    lost = [part for part in parts if part.receipt is not None and part.part_id not in marks]
    if lost:
        rows = sum(part.manifest.rows for part in lost)
        raise ArchiveDivergedError(
            f"The archive holds {len(lost)} part(s) with {rows} rows of {lost[0].manifest.table} that the source"
            f" database does not know to be gone, the first is {lost[0].manifest.key}.",
            hint="The database was restored to a moment before they left it, or its schema `strongroom` was lost."
            " docs/archives.md, section 'After a restore', says what to do.",
        )


def _discard(store: ObjectStore, log: RunLog, manifest: PartManifest) -> bool:
    """Take a part away whose rows never left: the manifest first, so that it is no part any more."""
    return _take_away(store, log, manifest.prefix, [manifest.key, manifest.prefix])


def _remove_debris(store: ObjectStore, log: RunLog, prefix: str, known: set[str]) -> int:
    """Take away what never had a manifest. What the source has a mark of, or a receipt is there for, is left alone."""
    store.abort_incomplete_uploads(prefix)
    keys = [info.key for info in store.list(prefix)]
    whole = {
        key.rpartition("/")[0] for key in keys if key.endswith((f"/{MANIFEST_NAME}", f"/{RECEIPT_NAME}"))
    }
    folders = sorted({key.rpartition("/")[0] for key in keys} - whole)
    return sum(
        _take_away(store, log, f"{folder}/", [f"{folder}/"])
        for folder in folders
        if folder.rpartition("/")[2] not in known
    )


def _take_away(store: ObjectStore, log: RunLog, folder: str, prefixes: list[str]) -> bool:
    """Delete what lies below the prefixes, in their order; False when the bucket's Object Lock keeps it for now."""
    target = Target("archive", folder)
    log.emit(EventType.ARCHIVE_PART_DISCARD, "attempt", target=target)
    keys: set[str] = set()
    try:
        for prefix in prefixes:
            keys |= _delete(store, prefix)
    except ObjectLockedError as error:
        log.emit(EventType.ARCHIVE_PART_DISCARD, "result", "partial", target=target, error=error)
        return False
    objects = ObjectRepository()
    with log.transaction() as control:
        for key in keys:
            objects.remove(control, key)
        event = log.event(EventType.ARCHIVE_PART_DISCARD, "result", "success", target=target)
        log.sink.emit(control, event)
    return True


def _delete(store: ObjectStore, prefix: str) -> set[str]:
    versions = list(store.list_versions(prefix))
    for info in versions:
        store.delete_version(info.key, info.version_id)
    return {info.key for info in versions}
