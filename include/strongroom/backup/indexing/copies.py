"""Copies: what each holds is read from its own store; how its last run ended, from the log."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import groupby

from sqlalchemy import text

from strongroom.audit import EventType
from strongroom.backup.indexing.report import Problem
from strongroom.backup.indexing.scan import Scan
from strongroom.backup.indexing.sources import IndexSource
from strongroom.backup.manifest import MANIFEST_NAME, read_manifest
from strongroom.backup.verification.proof import read_proof
from strongroom.catalog import CopiedBackup, CopyRepository, CopyRun
from strongroom.clock import parse_timestamp
from strongroom.errors import IntegrityError
from strongroom.storage import ObjectInfo, ObjectStore, StoreError

OpenCopy = Callable[[], ObjectStore]
_RUNS = text("""
    WITH runs AS (
        SELECT seq, convert_from(entry, 'UTF8')::jsonb AS event FROM audit_entry
        WHERE position(convert_to(:type, 'UTF8') IN entry) > 0
    )
    SELECT DISTINCT ON (event->'data'->'details'->>'copy', event->'data'->>'database') event FROM runs
    WHERE event->'data'->>'phase' = 'result' AND event->'data'->'details'->>'copy' IS NOT NULL
        AND coalesce(event->'data'->'details'->>'scope', 'all') = 'all'
    ORDER BY event->'data'->'details'->>'copy', event->'data'->>'database', seq DESC""")


class Copies(IndexSource):
    """The backups and proofs in each copy's store, and the newest run of each.

    Args:
        stores: opens a copy by its name.
        forget: whether to remove rows of backups that a copy does not hold.
    """

    def __init__(self, stores: Mapping[str, OpenCopy], *, forget: bool) -> None:
        self._stores, self._forget = stores, forget
        self._repository = CopyRepository()
        self.forgotten = 0

    def read(self, scan: Scan) -> None:
        for name, open_copy in self._stores.items():
            try:
                store = open_copy()
                held = list(self._held(scan, name, store))
                proofs = list(self._proofs(scan, name, store))
            except StoreError as error:
                scan.findings.add(Problem.UNREACHABLE, f"copies/{name}", error.message)
                continue
            self._index(scan, name, held)
            for key, data in proofs:
                self._index_proof(scan, name, key, data)
        self._index_runs(scan)

    def _held(self, scan: Scan, name: str, store: ObjectStore) -> Iterator[CopiedBackup]:
        """The backups that a copy holds whole; one folder of its listing at a time."""
        locks = store.capabilities().object_lock
        for folder, items in groupby(store.list("backups/"), _folder):
            there = {item.key: item for item in items}
            document = there.get(f"{folder}/{MANIFEST_NAME}")
            if document is not None:
                yield from self._believed(scan, name, store, document, there, locks)

    def _believed(
        self,
        scan: Scan,
        name: str,
        store: ObjectStore,
        document: ObjectInfo,
        there: Mapping[str, ObjectInfo],
        locks: bool,
    ) -> Iterator[CopiedBackup]:
        where = f"{name}: {document.key}"
        try:
            manifest = read_manifest(store.get_bytes(document.key), scan.trusted, f"The manifest {where}")
        except IntegrityError as error:
            scan.findings.add(Problem.NOT_BELIEVED, where, error.message)
            return
        if manifest.key != document.key:
            detail = f"It is the manifest of {manifest.backup_id} of {manifest.database}: somebody moved it."
            scan.findings.add(Problem.NOT_BELIEVED, where, detail)
            return
        whole = True
        for item in manifest.objects:
            found = there.get(item.key)
            if found is None or found.size_bytes != item.size_bytes:
                problem = Problem.MISSING if found is None else Problem.DIFFERENT
                detail = (
                    f"The copy {name} does not hold it as {MANIFEST_NAME} names it; `strongroom copy run`."
                )
                scan.findings.add(problem, f"{name}: {item.key}", detail)
                whole = False
        if whole:
            retention = store.head(document.key).retention if locks else None
            yield CopiedBackup(
                name, manifest.backup_id, manifest.database, document.modified_at,
                retention.until if retention else None,
            )  # fmt: skip

    def _index(self, scan: Scan, name: str, held: list[CopiedBackup]) -> None:
        known = {one.backup_id: one for one in self._repository.all_backups(scan.connection, name)}
        for record in held:
            old = known.pop(record.backup_id, None)
            if scan.copies.count(old and _facts(old, record), _facts(record, record)):
                self._repository.add_backup(scan.connection, record)
        for backup_id, lost in known.items():
            detail = f"The index says that the copy {name} holds it whole."
            scan.findings.add(Problem.LOST, f"{name}: backups/{lost.database}/{backup_id}/", detail)
        if known and self._forget:
            self._repository.forget_backups(scan.connection, name, set(known))
            self.forgotten += len(known)

    def _proofs(self, scan: Scan, name: str, store: ObjectStore) -> Iterator[tuple[str, bytes]]:
        """The proofs of a copy that the main store no longer has; the copy keeps its own."""
        for item in store.list(f"copies/{name}/proofs/"):
            if not self._repository.has_proof(scan.connection, item.key):
                yield item.key, store.get_bytes(item.key)

    def _index_proof(self, scan: Scan, name: str, key: str, data: bytes) -> None:
        try:
            proof = read_proof(data, scan.trusted, f"The proof {name}: {key}")
        except IntegrityError as error:
            scan.findings.add(Problem.NOT_BELIEVED, f"{name}: {key}", error.message)
            return
        if (proof.key, proof.copy) != (key, name):
            detail = f"It is a proof of {proof.backup_id} of {proof.database}: somebody moved it."
            scan.findings.add(Problem.NOT_BELIEVED, f"{name}: {key}", detail)
            return
        scan.proofs.count(None, key)
        self._repository.add_proof(scan.connection, name, proof.record())

    def _index_runs(self, scan: Scan) -> None:
        """How the newest run to each copy ended, where the index does not know of any."""
        quoted = f'"{EventType.COPY_RUN_EXECUTE}"'
        for (event,) in scan.connection.execute(_RUNS, {"type": quoted}):
            data = event["data"]
            counts = data.get("counts", {})
            run = CopyRun(
                data["details"]["copy"], data["database"], parse_timestamp(event["time"]), data["outcome"],
                counts.get("objects", 0), counts.get("copied_bytes", 0), counts.get("problems", 0),
            )  # fmt: skip
            old = self._repository.last_run(scan.connection, run.database, run.copy)
            if scan.copies.count(old and run, run):
                self._repository.finish_run(scan.connection, run)


def _folder(item: ObjectInfo) -> str:
    """The backup's own: `backups/<database>/<id>`."""
    return "/".join(item.key.split("/")[:3])


def _facts(record: CopiedBackup, now: CopiedBackup) -> tuple[object, ...]:
    """What a row says of the backup; until when it is locked only where the store tells."""
    return (record.database, now.locked_until and record.locked_until)
