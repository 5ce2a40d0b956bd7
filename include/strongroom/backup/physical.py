"""Physical backups: the whole cluster as streams, a restore point after it, and the WAL in between.

1. A temporary replication slot keeps the WAL on the server; it vanishes with the control session.
2. The cluster, whole or what changed since the last backup, is streamed into `base.tar.zst.age`, with the WAL that
   makes it consistent; each tablespace into a stream of its own, `tablespaces/<oid>.tar.zst.age`.
3. Snapshots of all databases, and at once the named restore point (`window`).
4. The segments from the base's end to the restore point go into `wal.tar.zst.age`.
5. Fingerprints of the tables in those snapshots go into `fingerprints.json.zst.age`.
6. PostgreSQL's own manifest goes into `backup_manifest.zst.age`, for the next incremental backup.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

from strongroom.backup.basebackup import Archive, BaseBackup, BaseBackupRequest
from strongroom.backup.errors import IncompleteStreamError, IncrementalRefusedError, SourceNotReadyError
from strongroom.backup.fingerprints import DatabaseFingerprints, FingerprintDocument, TableFingerprint
from strongroom.backup.interface import BackupEngine, BackupRequest, EngineResult, ObjectWriter
from strongroom.backup.manifest import ChainLink, ManifestObject, ServerFacts
from strongroom.backup.preflight import SourceFacts, check_source, check_unchanged
from strongroom.backup.reasons import FullReason, WhyFull
from strongroom.backup.server_manifest import (
    FIRST_MAJOR,
    SERVER_MANIFEST_NAME,
    CompressedManifest,
    ServerManifest,
)
from strongroom.backup.summaries import why_source_needs_full
from strongroom.backup.tarwatch import StreamFacts
from strongroom.backup.wal import changed_relations, fetch_wal, remove_stale_wal, tar_of, wal_directory
from strongroom.backup.window import SnapshotDatabase, Window, incomparable, restore_window
from strongroom.postgres import (
    Connection,
    Fingerprint,
    NoSuchServerVersionError,
    ServerBinaries,
    Table,
    TableKind,
    find_binaries,
    new_seed,
    server_errors,
    table_fingerprints,
)

_EXCLUDED = {
    TableKind.UNLOGGED: "unlogged: a restore empties it",
    TableKind.FOREIGN: "foreign: its rows are on another server",
}
_NOT_CHOSEN = "the policy does not ask for it"
_UNREADABLE = "the backup's user may not read it"


@dataclass(frozen=True)
class _Base:
    """A base backup whose archives are in the bucket."""

    facts: StreamFacts
    objects: tuple[ManifestObject, ...]
    chain: ChainLink | None
    why_full: WhyFull | None
    server_manifest: CompressedManifest | None


class PhysicalEngine(BackupEngine):
    """Backs up whole clusters of PostgreSQL 13 and later over the replication protocol.

    Args:
        search: directories to look in for PostgreSQL's programs, before the usual places.
    """

    method: Literal["physical", "logical"] = "physical"

    def __init__(self, search: Sequence[Path] = ()) -> None:
        self._search = tuple(search)

    def check(self, request: BackupRequest) -> None:
        source = check_source(request.control, reads_tables=request.fingerprint != "none")
        self._clients(source)

    def run(self, request: BackupRequest, write: ObjectWriter) -> EngineResult:
        remove_stale_wal()
        source = check_source(request.control, reads_tables=request.fingerprint != "none")
        started_at = _now(request.control)
        with _retained_wal(request.control), wal_directory(source.wal_segment_bytes) as directory:
            base = self._base(request, source, write)
            request.alive()
            point = f"strongroom_{request.backup_id}"
            reads = request.fingerprint != "none"
            with restore_window(request.control, request.conninfo, point, with_snapshots=reads) as window:
                finished_at = _now(request.control)
                check_unchanged(request.control, source)
                objects = [*base.objects, self._wal(request, source, base.facts, window, directory, write)]
                if reads:
                    written = self._written(source, base.facts, window, directory)
                    objects.append(_fingerprints(request, window, written, write))
        return EngineResult(
            kind="incremental" if base.chain else "full",
            started_at=started_at,
            finished_at=finished_at,
            server=_server(source, base.facts),
            start_lsn=base.facts.start_lsn,
            stop_lsn=base.facts.stop_lsn,
            restore_point=window.restore_point,
            objects=tuple(objects),
            chain=base.chain,
            why_full=base.why_full,
            server_manifest=base.server_manifest,
        )

    def _base(self, request: BackupRequest, source: SourceFacts, write: ObjectWriter) -> _Base:
        """The incremental base backup where one can be made, else the full one, with the reason."""
        basis = request.basis
        if basis.extension is None:
            return self._stream(request, source, write, None, None, basis.why_full)
        why_full = why_source_needs_full(request.control, source, basis.extension.parent)
        if why_full is not None:
            return self._stream(request, source, write, None, None, why_full)
        manifest = basis.extension.open()
        if isinstance(manifest, WhyFull):
            return self._stream(request, source, write, None, None, manifest)
        try:
            with closing(manifest):
                return self._stream(request, source, write, manifest, basis.extension.link, None)
        except IncrementalRefusedError as error:
            why_full = WhyFull(FullReason.REFUSED_BY_SERVER, error.message)
            return self._stream(request, source, write, None, None, why_full)

    def _stream(
        self,
        request: BackupRequest,
        source: SourceFacts,
        write: ObjectWriter,
        since: ServerManifest | None,
        chain: ChainLink | None,
        why_full: WhyFull | None,
    ) -> _Base:
        with closing(_base_backup(request, since)) as backup:
            objects = [_archive(archive, write) for archive in backup.archives()]
            facts = backup.facts()
            if facts.system_identifier != source.system_identifier:
                raise IncompleteStreamError(
                    "The base backup came from another cluster than the one that was asked.",
                    hint="The connection leads to several servers; name one of them.",
                )
            kept = None
            if source.major >= FIRST_MAJOR:
                manifest = backup.server_manifest
                objects.append(write(SERVER_MANIFEST_NAME, "server_manifest", manifest.pieces()))
                kept = CompressedManifest(manifest.sha256, tuple(manifest.compressed()))
        return _Base(facts, tuple(objects), chain, why_full, kept)

    def _wal(
        self,
        request: BackupRequest,
        source: SourceFacts,
        stream: StreamFacts,
        window: Window,
        directory: Path,
        write: ObjectWriter,
    ) -> ManifestObject:
        segments = fetch_wal(
            self._clients(source).tool("pg_receivewal"),
            request.conninfo,
            directory,
            after_segment=stream.last_segment,
            until=window.end,
            segment_bytes=source.wal_segment_bytes,
            alive=request.alive,
        )
        request.progress("wal", len(segments) * source.wal_segment_bytes)
        return write("wal.tar.zst.age", "wal", tar_of(segments))

    def _written(
        self, source: SourceFacts, stream: StreamFacts, window: Window, directory: Path
    ) -> set[tuple[int, int]] | None:
        try:
            binaries = find_binaries(source.major, self._search)
        except NoSuchServerVersionError:
            return None
        return changed_relations(
            binaries, directory, timeline=stream.timeline, start=window.start, end=window.end
        )

    def _clients(self, source: SourceFacts) -> ServerBinaries:
        """Client programs at least as new as the server: older ones refuse it."""
        newest = find_binaries(None, self._search)
        if newest.major < source.major:
            raise SourceNotReadyError(
                f"The source is PostgreSQL {source.version}; the programs here are of {newest.version}.",
                hint="Install the newer client programs, or name them in `postgres_directories`.",
            )
        return newest


def _base_backup(request: BackupRequest, since: ServerManifest | None) -> BaseBackup:
    return BaseBackup(
        BaseBackupRequest(
            conninfo=request.conninfo,
            label=f"strongroom {request.backup_id}",
            alive=request.alive,
            progress=lambda size: request.progress("base", size),
            since=since,
        )
    )


def _archive(archive: Archive, write: ObjectWriter) -> ManifestObject:
    if archive.tablespace_oid is None:
        return write("base.tar.zst.age", "base", archive.content)
    return write(f"tablespaces/{archive.tablespace_oid}.tar.zst.age", "tablespace", archive.content)


@contextmanager
def _retained_wal(control: Connection) -> Iterator[None]:
    """Keep the WAL from now on, by a slot that belongs to the control session and ends with it."""
    name = f"strongroom_{secrets.token_hex(6)}"
    with server_errors("The source"):
        control.execute("SELECT pg_catalog.pg_create_physical_replication_slot(%s, true, true)", (name,))
    try:
        yield
    finally:
        if not control.closed and not control.broken:
            with server_errors("The source"):
                control.execute("SELECT pg_catalog.pg_drop_replication_slot(%s)", (name,))


def _fingerprints(
    request: BackupRequest, window: Window, written: set[tuple[int, int]] | None, write: ObjectWriter
) -> ManifestObject:
    seed = new_seed()
    found = {
        database.name: _database_fingerprints(request, database, window, written, seed)
        for database in window.databases
    }
    document = FingerprintDocument(seed, window.restore_point.lsn, found)
    return write("fingerprints.json.zst.age", "fingerprints", [document.encode()])


def _database_fingerprints(
    request: BackupRequest,
    database: SnapshotDatabase,
    window: Window,
    written: set[tuple[int, int]] | None,
    seed: int,
) -> DatabaseFingerprints:
    chosen = [table for table in database.tables if _exclusion(request, table) is None]
    values = table_fingerprints(
        database.conninfo, chosen, seed, snapshot=database.snapshot, alive=request.alive
    )
    reasons = incomparable(database, window, written)
    request.progress("fingerprints", len(values))
    return DatabaseFingerprints(
        tuple(
            _entry(table, values.get((table.schema, table.name)), _reason(request, table, values, reasons))
            for table in database.tables
        )
    )


def _reason(
    request: BackupRequest,
    table: Table,
    values: dict[tuple[str, str], Fingerprint | None],
    reasons: dict[int, str],
) -> str | None:
    excluded = _exclusion(request, table)
    if excluded is not None:
        return excluded
    if values[table.schema, table.name] is None:
        return _UNREADABLE
    return reasons.get(table.oid)


def _exclusion(request: BackupRequest, table: Table) -> str | None:
    if table.kind in _EXCLUDED:
        return _EXCLUDED[table.kind]
    if isinstance(request.fingerprint, tuple) and f"{table.schema}.{table.name}" not in request.fingerprint:
        return _NOT_CHOSEN
    return None


def _entry(table: Table, value: Fingerprint | None, reason: str | None) -> TableFingerprint:
    return TableFingerprint(
        schema=table.schema,
        name=table.name,
        rows=value.rows if value else None,
        hash=value.hash if value else None,
        comparable=reason is None,
        reason=reason,
    )


def _server(source: SourceFacts, stream: StreamFacts) -> ServerFacts:
    return ServerFacts(
        version=source.version,
        major=source.major,
        system_identifier=stream.system_identifier,
        timeline=stream.timeline,
        wal_segment_bytes=source.wal_segment_bytes,
        data_checksums=source.data_checksums,
    )


def _now(control: Connection) -> datetime:
    with server_errors("The source"):
        row = control.execute("SELECT pg_catalog.clock_timestamp()").fetchone()
    if row is None:
        raise IncompleteStreamError("The source does not say what time it is.")
    moment: datetime = row[0]
    return moment
