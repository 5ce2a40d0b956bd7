"""Loading a logical backup into a database: definitions by `pg_restore`, rows by COPY in parallel, as they decrypt.

    contents → globals → pre → data (parallel, one transaction per object) → sequences → large objects → post (parallel)

The definitions are small: they are written to a private directory, whole and verified, before `pg_restore` sees them.
Rows are committed only when their object was verified to its end.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path

from strongroom.backup.logical.contents import (
    LogicalContents,
    Name,
    SequenceEntry,
    TableEntry,
    client_encoding,
    parse_contents,
    quoted,
)
from strongroom.backup.logical.dumping import sequences_script
from strongroom.backup.logical.programs import Program
from strongroom.backup.logical.streams import Streams
from strongroom.backup.manifest import BackupManifest, ManifestObject, Role
from strongroom.backup.restoring.errors import BrokenArchiveError
from strongroom.backup.restoring.logical.scripts import Buffer, DataScript
from strongroom.backup.restoring.objects import BackupObjects
from strongroom.errors import ConfigurationError
from strongroom.postgres import (
    SUPERUSER,
    Connection,
    NoSuchServerVersionError,
    ServerBinaries,
    connect,
    find_binaries,
    server_errors,
)

APPLICATION = "strongroom restore"
SEQUENCES_NAME = "data/sequences.sql.zst.age"
_STREAMS = 2
_DOCUMENT_LIMIT_BYTES = 128 << 20
_AT_ONCE = 200
_ROLE_EXISTS = re.compile(r'ERROR:\s+role ".*" already exists')
_OTHER_VERSION = 'unrecognized configuration parameter "transaction_timeout"'
_NOT_HERE = ("CREATE TABLESPACE ", "ALTER TABLESPACE ", "COMMENT ON TABLESPACE ")
_ON_TABLESPACE = re.compile(r"^(GRANT|REVOKE) .* ON TABLESPACE ")


def _nothing() -> None:
    """Always alive."""


@dataclass
class Loaded:
    """What a load did."""

    problems: list[str] = field(default_factory=list)
    """What the server refused; nothing in a clean load."""
    tables: int = 0
    seconds: float = 0.0
    """Definitions and rows, fetching included."""
    finishing_seconds: float = 0.0
    """Indexes, constraints and triggers."""


class LogicalLoader:
    """Loads one backup.

    Args:
        manifest: of the backup, its signature checked.
        objects: where its objects come from.
        directory: a private place for the definitions.
        search: further places of PostgreSQL's programs.
        streams: how many objects are loaded at once.
        alive: called often; raises when the load may not go on.
    """

    def __init__(
        self,
        manifest: BackupManifest,
        objects: BackupObjects,
        directory: Path,
        search: Sequence[Path] = (),
        *,
        streams: int = _STREAMS,
        alive: Callable[[], None] = _nothing,
    ) -> None:
        self.manifest = manifest
        self._objects = objects
        self._directory = directory
        self._search = tuple(search)
        self._streams = streams
        self._alive = alive

    @cached_property
    def contents(self) -> LogicalContents:
        """What the backup holds.

        Raises:
            IntegrityError: it is not what the backup wrote.
        """
        return parse_contents(self.document(self.manifest.object("contents")))

    @cached_property
    def tools(self) -> ServerBinaries:
        """Programs that read what this backup's `pg_dump` wrote: of its own version, or else newer.

        Raises:
            NoSuchServerVersionError: this machine has only older ones.
        """
        major = int(re.split(r"\D", self.contents.tool, maxsplit=1)[0])
        try:
            return find_binaries(major, self._search)
        except NoSuchServerVersionError:
            newest = find_binaries(None, self._search)
            if newest.major < major:
                raise
            return newest

    def load_globals(self, conninfo: str) -> list[str]:
        """Make the cluster's roles on a scratch server; its own superuser stays as it is, tablespaces are left out.

        Returns:
            What the server refused.
        """
        item = self.manifest.object("globals")
        script = self.document(item).decode()
        lines = [line for line in script.splitlines(keepends=True) if not _skipped(line)]
        with tempfile.TemporaryFile() as file:
            file.write("".join(lines).encode())
            file.seek(0)
            arguments = ["--no-psqlrc", "--quiet", "--set=VERBOSITY=terse"]
            program = Program(
                self.tools.tool("psql"), arguments, conninfo, stdin=file, stdout=subprocess.DEVNULL
            )
            problems = program.outcome(self._alive)
        return [problem for problem in problems if not _ROLE_EXISTS.search(problem)]

    def load(self, conninfo: str, *, restore_options: Sequence[str] = ()) -> Loaded:
        """Load everything into an empty database.

        Args:
            conninfo: the database.
            restore_options: for `pg_restore`, such as `--no-owner`.

        Raises:
            IntegrityError: an object is not what the backup wrote; what it held was rolled back.
            PostgresError: the server did not take some rows.
        """
        loaded = Loaded()
        start = time.perf_counter()
        loaded.problems += self.definitions("pre", conninfo, restore_options)
        if not loaded.problems:
            targets = {table.label: table.into or table.label for table in self.contents.tables}
            loaded.tables = self.rows(conninfo, targets)
            self.sequences(
                conninfo, [(entry, (entry.schema, entry.name)) for entry in self.contents.sequences]
            )
            loaded.problems += self._large_objects(conninfo, restore_options)
        loaded.seconds = time.perf_counter() - start
        start = time.perf_counter()
        if not loaded.problems:
            loaded.problems += self.definitions("post", conninfo, restore_options)
        loaded.finishing_seconds = time.perf_counter() - start
        return loaded

    def spooled(self, role: Role) -> Path:
        """An archive of definitions as a file: whole, and verified to its end."""
        item = self.manifest.object(role)
        path = self._directory / item.name.removesuffix(".zst.age")
        if not path.exists():
            part = path.with_suffix(".part")
            with part.open("wb") as file, self._objects.open(item) as content:
                for piece in content:
                    file.write(piece)
            part.rename(path)
        return path

    def definitions(self, role: Role, conninfo: str, options: Sequence[str] = ()) -> list[str]:
        """Restore an archive of definitions; gives what the server refused."""
        return self.restore_archive(self.spooled(role), conninfo, [f"--jobs={self._streams}", *options])

    def restore_archive(self, archive: Path, conninfo: str, options: Sequence[str]) -> list[str]:
        """Run `pg_restore`; gives what the server refused."""
        arguments = ["--no-tablespaces", *options]
        program = Program(
            self.tools.tool("pg_restore"),
            [*arguments, str(archive)],
            conninfo,
            stdout=subprocess.DEVNULL,
        )
        problems = program.outcome(self._alive)
        real = [problem for problem in problems if _OTHER_VERSION not in problem]
        return [problem for problem in real if "errors ignored on restore" not in problem]

    def rows(self, conninfo: str, targets: Mapping[Name, Name]) -> int:
        """Load the rows of tables, several objects at once.

        Args:
            conninfo: the database.
            targets: which tables, and into which.

        Returns:
            How many tables were loaded.
        """
        streams = Streams(self._streams, self._alive)
        wanted = [
            item
            for item in self.manifest.having("data")
            if any(table.label in targets for table in self.contents.tables_of(item.name))
        ]
        wanted.sort(key=lambda item: -item.plaintext_bytes)
        jobs = [partial(self._object, item, conninfo, targets, streams) for item in wanted]
        return sum(streams.run(jobs))

    def _object(
        self, item: ManifestObject, conninfo: str, targets: Mapping[Name, Name], streams: Streams
    ) -> list[int]:
        """Load one object in one transaction; gives how many tables it loaded."""
        tables = self.contents.tables_of(item.name)
        encoding = self.contents.database.encoding
        loaded = 0
        with (
            connect(conninfo, application_name=APPLICATION) as connection,
            self._objects.open(item) as content,
            server_errors(f"Loading {item.name}: the target server"),
        ):
            _prepare(connection, encoding)
            for table, rows in DataScript(content, encoding, tables, item.name):
                if table.label in targets:
                    _copy(
                        connection, table, targets[table.label], rows, streams.alive, alone=len(tables) == 1
                    )
                    loaded += 1
            connection.execute("COMMIT")
        return [loaded]

    def sequences(self, conninfo: str, wanted: Sequence[tuple[SequenceEntry, Name]]) -> None:
        """Put sequences where they stood: each entry under the name that it has in the target."""
        self._check_sequences()
        statements = [entry.set_value(name).removeprefix("SELECT ") for entry, name in wanted]
        with (
            connect(conninfo, application_name=APPLICATION) as connection,
            server_errors("The target server"),
        ):
            for start in range(0, len(statements), _AT_ONCE):
                connection.execute(f"SELECT {', '.join(statements[start : start + _AT_ONCE])}".encode())

    def _check_sequences(self) -> None:
        """The script for people and the contents must say the same."""
        for item in self.manifest.having("data"):
            if item.name == SEQUENCES_NAME:
                expected = sequences_script(self.contents.sequences, self.contents.database.encoding)
                if self.document(item) != b"".join(expected):
                    raise BrokenArchiveError(f"{item.name} does not say what the backup's contents say.")

    def _large_objects(self, conninfo: str, options: Sequence[str]) -> list[str]:
        """Their archive holds statements too, so it lies on disk, whole and verified, before it is restored."""
        for item in self.manifest.having("large_objects"):
            path = self._directory / "large_objects.dump"
            with path.open("wb") as file, self._objects.open(item) as content:
                for piece in content:
                    file.write(piece)
            problems = self.restore_archive(path, conninfo, options)
            path.unlink()
            return problems
        return []

    def document(self, item: ManifestObject) -> bytes:
        """A small object, whole.

        Raises:
            IntegrityError: it is not what the backup wrote.
        """
        with self._objects.open(item) as content:
            return _limited(content, item.name)


def _limited(content: Iterable[Buffer], name: str) -> bytes:
    data = bytearray()
    for piece in content:
        data += piece
        if len(data) > _DOCUMENT_LIMIT_BYTES:
            raise BrokenArchiveError(f"{name} is larger than any of its kind can be.")
    return bytes(data)


def _skipped(line: str) -> bool:
    """Lines of the globals that a scratch server must not run."""
    own = line.startswith((f"CREATE ROLE {SUPERUSER};", f"ALTER ROLE {SUPERUSER} "))
    return own or line.startswith(_NOT_HERE) or _ON_TABLESPACE.match(line) is not None


def _prepare(connection: Connection, encoding: str) -> None:
    connection.execute(
        "SELECT pg_catalog.set_config('client_encoding', %s, false)", (client_encoding(encoding),)
    )
    connection.execute("SET synchronous_commit = off")
    connection.execute("SET xmloption = content")
    connection.execute("BEGIN")


def _copy(
    connection: Connection,
    table: TableEntry,
    target: Name,
    rows: Iterable[bytes],
    alive: Callable[[], None],
    *,
    alone: bool,
) -> None:
    """Copy one table's rows; a large one is emptied first, which lets its rows come in frozen."""
    options = ""
    if alone and not table.into:
        connection.execute(f"TRUNCATE ONLY {quoted(target)}".encode())
        options = " WITH (FREEZE)"
    with connection.cursor() as cursor, cursor.copy(table.copy_in(target, options).encode()) as copy:
        for piece in rows:
            alive()
            copy.write(piece)


def check_tools(loader: LogicalLoader, server_major: int) -> None:
    """Pass when the target server is at least as new as the source.

    Raises:
        ConfigurationError: an older server does not understand a newer one's definitions.
    """
    source = loader.manifest.server.major
    if server_major < source:
        raise ConfigurationError(
            f"The target server is PostgreSQL {server_major}; the backup is of version {source}.",
            hint="Restore into a server that is at least as new.",
        )
