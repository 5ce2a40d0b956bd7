"""Logical backups: one database in one snapshot, in several streams side by side.

1. Every table is locked against being dropped, and a snapshot is exported (`snapshot`).
2. Definitions, rows, large objects and the cluster's roles are streamed into sealed objects of their own (`dumping`).
3. Fingerprints of all tables are taken in the same snapshot, so a restore must equal them exactly.
4. The contents say which table is where; like all objects they count only with the manifest.

Nothing is written to the source, no replication right is needed, and a standby will do.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, Literal, cast

from strongroom.backup.errors import IncompleteStreamError, SourceNotReadyError
from strongroom.backup.fingerprints import DatabaseFingerprints, FingerprintDocument, TableFingerprint
from strongroom.backup.interface import BackupEngine, BackupRequest, EngineResult, ObjectWriter
from strongroom.backup.logical.contents import LogicalContents, SequenceEntry
from strongroom.backup.logical.dumping import DataObject, Dumper, data_objects, sequences_script
from strongroom.backup.logical.inventory import SourceTable, read_sequences, server_facts
from strongroom.backup.logical.programs import Program, ProgramOutput
from strongroom.backup.logical.snapshot import HeldSnapshot, check_readable, held_snapshot
from strongroom.backup.logical.streams import Amount, Streams
from strongroom.backup.manifest import ManifestObject, RestorePoint, Role, ServerFacts
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
    server_major,
    server_version,
    table_fingerprints,
    tables,
)

OLDEST_MAJOR = 13
_STREAMS = 2
_NOT_CHOSEN = "the policy does not ask for it"


class LogicalEngine(BackupEngine):
    """Backs up single databases of PostgreSQL 13 and later with `pg_dump` and COPY.

    Args:
        search: directories to look in for PostgreSQL's programs, before the usual places.
        streams: how many objects are written at once.
    """

    method: Literal["physical", "logical"] = "logical"

    def __init__(self, search: Sequence[Path] = (), *, streams: int = _STREAMS) -> None:
        self._search = tuple(search)
        self._streams = streams

    def check(self, request: BackupRequest) -> None:
        if server_major(request.control) < OLDEST_MAJOR:
            raise SourceNotReadyError(
                f"The source is PostgreSQL {server_version(request.control)}; logical backups need"
                f" {OLDEST_MAJOR} or later.",
                hint="Upgrade the server.",
            )
        check_readable(request.control)
        self._clients(request.control)

    def run(self, request: BackupRequest, write: ObjectWriter) -> EngineResult:
        server = server_facts(request.control)
        binaries = self._clients(request.control)
        with held_snapshot(request.conninfo) as held:
            objects = _Writing(request, write, held, binaries, server, self._streams).all()
        inventory = held.inventory
        return EngineResult(
            kind="full",
            started_at=inventory.moment,
            finished_at=_now(request.control),
            server=server,
            start_lsn=inventory.lsn,
            stop_lsn=inventory.lsn,
            restore_point=RestorePoint(f"snapshot {inventory.snapshot}", inventory.lsn),
            objects=tuple(objects),
        )

    def _clients(self, control: Connection) -> ServerBinaries:
        """Programs of the server's own version, whose dumps it reads best; else newer ones; older ones refuse."""
        try:
            return find_binaries(server_major(control), self._search)
        except NoSuchServerVersionError:
            newest = find_binaries(None, self._search)
        if newest.major < server_major(control):
            raise SourceNotReadyError(
                f"The source is PostgreSQL {server_version(control)}; the programs here are of {newest.version}.",
                hint="Install the newer client programs, or name them in `postgres_directories`.",
            )
        return newest


class _Writing:
    """The objects of one backup being written."""

    def __init__(
        self,
        request: BackupRequest,
        write: ObjectWriter,
        held: HeldSnapshot,
        binaries: ServerBinaries,
        server: ServerFacts,
        streams: int,
    ) -> None:
        self._request = request
        self._write = write
        self._held = held
        self._inventory = held.inventory
        self._binaries = binaries
        self._dumper = Dumper(binaries, request.conninfo, held.inventory, server.major)
        self._streams = Streams(streams, request.alive)
        self._count = streams
        self._bytes = Amount("data", request.progress)

    def all(self) -> list[ManifestObject]:
        """Write everything.

        Raises:
            StrongroomError: the first thing that failed; the other streams were stopped.
        """
        groups = data_objects(self._inventory.tables)
        sequences = read_sequences(self._held.connection)
        passwords = _reads_passwords(self._request.control)
        jobs = [self._definitions, *(lambda item=group: self._rows(item) for group in groups)]
        jobs.append(lambda: [self._program("globals.sql.zst.age", "globals", self._globals(passwords))])
        if self._inventory.large_objects:
            jobs.append(self._large_objects)
        written = self._streams.run(jobs)
        written += [self._sequences(sequences), self._contents(groups, sequences)]
        if self._request.fingerprint != "none":
            written.append(self._fingerprints())
        return written

    def _definitions(self) -> list[ManifestObject]:
        """One after the other: each holds the locks of all tables once more."""
        pre = self._program("pre.dump.zst.age", "pre", self._dumper.definitions("pre-data"))
        return [pre, self._program("post.dump.zst.age", "post", self._dumper.definitions("post-data"))]

    def _globals(self, with_passwords: bool) -> Program:
        return self._dumper.globals(with_passwords=with_passwords)

    def _large_objects(self) -> list[ManifestObject]:
        name = "large_objects.dump.zst.age"
        return [self._program(name, "large_objects", self._dumper.large_objects())]

    def _rows(self, item: DataObject) -> list[ManifestObject]:
        with self._dumper.rows(item) as program:
            return [self._program(item.name, "data", program)]

    def _program(self, name: str, role: Role, program: Program) -> ManifestObject:
        output = ProgramOutput(program, alive=self._streams.alive, progress=self._bytes.add)
        with closing(output):
            return self._write(name, role, cast(BinaryIO, output))

    def _sequences(self, sequences: Sequence[SequenceEntry]) -> ManifestObject:
        script = sequences_script(sequences, self._inventory.database.encoding)
        return self._write("data/sequences.sql.zst.age", "data", script)

    def _contents(self, groups: Sequence[DataObject], sequences: Sequence[SequenceEntry]) -> ManifestObject:
        contents = LogicalContents(
            tool=self._binaries.version,
            snapshot=self._inventory.snapshot,
            database=self._inventory.database,
            roles=self._inventory.roles,
            extensions=self._inventory.extensions,
            tables=tuple(entry for group in groups for entry in group.entries()),
            sequences=tuple(sequences),
        )
        return self._write("contents.json.zst.age", "contents", [contents.encode()])

    def _fingerprints(self) -> ManifestObject:
        seed = new_seed()
        kept = {(table.schema, table.name): table for table in self._inventory.tables}
        found = tables(self._held.connection)
        chosen = [
            table for table in found if self._reason(table, kept.get((table.schema, table.name))) is None
        ]
        values = table_fingerprints(
            self._request.conninfo,
            chosen,
            seed,
            snapshot=self._inventory.snapshot,
            connections=self._count,
            alive=self._request.alive,
        )
        self._request.progress("fingerprints", len(values))
        entries = tuple(
            _entry(
                table,
                values.get((table.schema, table.name)),
                self._reason(table, kept.get((table.schema, table.name))),
            )
            for table in found
        )
        databases = {self._inventory.database.name: DatabaseFingerprints(entries)}
        document = FingerprintDocument(seed, self._inventory.lsn, databases)
        return self._write("fingerprints.json.zst.age", "fingerprints", [document.encode()])

    def _reason(self, table: Table, source: SourceTable | None) -> str | None:
        """Why a table of the restored database will not be compared; None when it will."""
        wanted = self._request.fingerprint
        if isinstance(wanted, tuple) and f"{table.schema}.{table.name}" not in wanted:
            return _NOT_CHOSEN
        if table.kind is TableKind.FOREIGN:
            return "foreign: its rows are on another server"
        if source is None or source.kind == "m":
            return "materialized: a restore computes it anew"
        if source.of_extension:
            return "of an extension, which makes it anew"
        if source.into is not None:
            return "its partition is chosen by a hash that differs from server to server"
        return None


def _entry(table: Table, value: Fingerprint | None, reason: str | None) -> TableFingerprint:
    unreadable = value is None and reason is None
    return TableFingerprint(
        schema=table.schema,
        name=table.name,
        rows=value.rows if value else None,
        hash=value.hash if value else None,
        comparable=reason is None and not unreadable,
        reason="the backup's user may not read it" if unreadable else reason,
    )


def _reads_passwords(control: Connection) -> bool:
    """Whether the user may read the roles' passwords, as a superuser may and a managed service's user may not."""
    with server_errors("The source"):
        row = control.execute(
            "SELECT pg_catalog.has_table_privilege('pg_catalog.pg_authid', 'SELECT')"
        ).fetchone()
    return bool(row and row[0])


def _now(control: Connection) -> datetime:
    with server_errors("The source"):
        row = control.execute("SELECT pg_catalog.clock_timestamp()").fetchone()
    if row is None:
        raise IncompleteStreamError("The source does not say what time it is.")
    moment: datetime = row[0]
    return moment
