"""The ladder of logical backups: rows are loaded while they are decrypted, so L1 fills what L3 judges.

L0  every object is there                 as for physical backups
L1  everything opens                      each object is read once, into a scratch server
L2  write-ahead log                       not applicable: a dump is consistent by its snapshot
L3  restores cleanly                      no statement was refused, no row was rejected
L4  pages, indexes, tables                as for physical backups
L5  content                               every ordinary table equals the source exactly
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager

from strongroom.backup.fingerprints import parse_fingerprints
from strongroom.backup.manifest import ManifestObject
from strongroom.backup.restoring.errors import BrokenArchiveError
from strongroom.backup.restoring.logical.databases import check_extensions, create_database, drop_database
from strongroom.backup.restoring.logical.loading import LogicalLoader
from strongroom.backup.restoring.objects import BackupObjects, Buffer
from strongroom.backup.verification.fetching import FINGERPRINT_LIMIT_BYTES, check_room, explain
from strongroom.backup.verification.levels import (
    ContentsSound,
    Level,
    ObjectsPresent,
    SameAsSource,
    named,
    running,
)
from strongroom.backup.verification.recorder import LevelReport, Recorder
from strongroom.backup.verification.run import RestoreRun
from strongroom.errors import IntegrityError, NotFoundError
from strongroom.postgres import (
    Cluster,
    DatabaseUnreachableError,
    PostgresError,
    ScratchFullError,
    connect,
)
from strongroom.storage import ObjectInfo

_APPLICATION = "strongroom verify"
_GROWTH = 3
"""A table with its indexes takes up to so many times the room of its rows as text."""
_SETTINGS = {
    "autovacuum": "off",
    "archive_mode": "off",
    "fsync": "off",
    "full_page_writes": "off",
    "jit": "off",
    "log_error_verbosity": "terse",
    "log_min_error_statement": "panic",
    "maintenance_work_mem": "128MB",
    "max_locks_per_transaction": "512",
    "max_logical_replication_workers": "0",
    "max_wal_senders": "0",
    "max_wal_size": "2GB",
    "shared_buffers": "128MB",
    "wal_level": "minimal",
}


class WatchedObjects(BackupObjects):
    """Objects of which it is known which were read to their end, and which one failed.

    Args:
        objects: where they come from.
    """

    def __init__(self, objects: BackupObjects) -> None:
        self._objects = objects
        self.read: list[ManifestObject] = []
        self.failed: ManifestObject | None = None

    def newest(self, database: str) -> str:
        return self._objects.newest(database)

    def manifest(self, database: str, backup_id: str) -> bytes:
        return self._objects.manifest(database, backup_id)

    def head(self, item: ManifestObject) -> ObjectInfo:
        return self._objects.head(item)

    def open(self, item: ManifestObject) -> AbstractContextManager[Iterable[Buffer]]:
        return self._watch(item)

    @contextmanager
    def _watch(self, item: ManifestObject) -> Iterator[Iterable[Buffer]]:
        try:
            with self._objects.open(item) as content:
                yield content
        except (IntegrityError, NotFoundError):
            self.failed = self.failed or item
            raise
        self.read.append(item)

    def forms(self, item: ManifestObject) -> frozenset[tuple[int, str]]:
        return self._objects.forms(item)

    def sealed_sha256(self, item: ManifestObject) -> str:
        return self._objects.sealed_sha256(item)


class LoadsWhileOpening(Level):
    """L1."""

    name, title = "L1", "everything decrypts and decompresses; the manifest's signature holds"

    def run(self, restore: RestoreRun, recorder: Recorder, report: LevelReport) -> None:
        report.passed("manifest signature", "signed by the trusted key")
        check_room(restore, growth=_GROWTH)
        presence = recorder.report(ObjectsPresent.name)
        watched = WatchedObjects(restore.objects)
        failure: IntegrityError | NotFoundError | None = None
        try:
            _load(restore, watched)
        except (IntegrityError, NotFoundError) as error:
            failure = error
        finally:
            for item in watched.read:
                presence.passed(f"{item.name} hash", "the bytes that the manifest names")
                report.passed(f"{item.name} opens", "decrypts and decompresses to its end")
        if failure is not None:
            explain(restore, watched.failed or restore.manifest.objects[0], failure, presence, report)
        elif len(watched.read) < len(restore.manifest.objects):
            report.skipped("all objects", "loading ended before the last object: see L3")


class NoWal(Level):
    """L2."""

    name, title = "L2", "the write-ahead log is complete from the start to the restore point"

    def run(self, restore: RestoreRun, recorder: Recorder, report: LevelReport) -> None:
        report.not_applicable("WAL continuity", "a logical backup is one snapshot and needs no WAL")


class RestoresCleanly(Level):
    """L3."""

    name, title = "L3", "the dump restores into an empty database without a single error"

    def run(self, restore: RestoreRun, recorder: Recorder, report: LevelReport) -> None:
        running(restore)
        if restore.load_problems:
            report.failed(
                "restore",
                f"{named(restore.load_problems)}. Restore from an older backup, and take a new one.",
                {"problems": len(restore.load_problems)},
            )
        else:
            report.passed("restore", "no statement was refused", {"tables": len(restore.source_columns)})


LOGICAL_LADDER: tuple[Level, ...] = (
    ObjectsPresent(),
    LoadsWhileOpening(),
    NoWal(),
    RestoresCleanly(),
    ContentsSound(),
    SameAsSource(),
)


def _load(restore: RestoreRun, objects: BackupObjects) -> None:
    start = time.perf_counter()
    restore.fingerprints = None
    for item in restore.manifest.having("fingerprints"):
        restore.fingerprints = parse_fingerprints(_whole(objects, item))
    loader = LogicalLoader(restore.manifest, objects, restore.scratch.directory, restore.search)
    restore.source_columns = {table.label: table.columns for table in loader.contents.tables}
    restore.cluster = _start(restore)
    try:
        restore.load_problems, finishing = _fill(loader, restore.cluster)
    except (PostgresError, DatabaseUnreachableError) as error:
        _refuse_full_disk(restore, error)
        restore.load_problems, finishing = [error.message], 0.0
    restore.fetch_and_unpack_seconds = time.perf_counter() - start - finishing
    restore.recovery_seconds = finishing
    restore.restored_to = restore.manifest.started_at
    restore.restored_bytes = restore.manifest.plaintext_bytes


def _start(restore: RestoreRun) -> Cluster:
    cluster = restore.scratch.cluster(_SETTINGS)
    cluster.initialise()
    cluster.start()
    return cluster


def _fill(loader: LogicalLoader, cluster: Cluster) -> tuple[list[str], float]:
    """Load everything; gives what was refused, and how long indexes and constraints took."""
    facts = loader.contents.database
    maintenance = cluster.conninfo("template1")
    problems = loader.load_globals(maintenance)
    with connect(maintenance, application_name=_APPLICATION) as connection:
        check_extensions(connection, loader.contents.extensions)
        drop_database(connection, facts.name)
        create_database(connection, facts.name, facts)
    loaded = loader.load(cluster.conninfo(facts.name), restore_options=["--no-subscriptions"])
    return problems + loaded.problems, loaded.finishing_seconds


def _whole(objects: BackupObjects, item: ManifestObject) -> bytes:
    data = bytearray()
    with objects.open(item) as content:
        for piece in content:
            data += piece
            if len(data) > FINGERPRINT_LIMIT_BYTES:
                raise BrokenArchiveError("The fingerprints are larger than any database's can be.")
    return bytes(data)


def _refuse_full_disk(restore: RestoreRun, error: PostgresError | DatabaseUnreachableError) -> None:
    if "No space left on device" in error.message:
        raise ScratchFullError(
            f"The scratch area {restore.scratch.directory.parent} filled up during the restore.",
            hint="Free some room, or name a larger place with the setting `scratch_directory`.",
        ) from error
