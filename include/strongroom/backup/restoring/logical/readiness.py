"""Everything that can be refused of a restore from a logical backup, before anything is written.

The plan and its execution both come through here, so that what was planned is what is done.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from strongroom.backup.logical.contents import LogicalContents, Name
from strongroom.backup.manifest import ServerFacts
from strongroom.backup.restoring.errors import LiveSourceError, NotEnoughRoomError
from strongroom.backup.restoring.facts import StoredManifest
from strongroom.backup.restoring.logical import targets
from strongroom.backup.restoring.logical.databases import check_extensions, database_exists
from strongroom.backup.restoring.logical.loading import LogicalLoader, check_tools
from strongroom.backup.restoring.logical.request import LogicalRestoreRequest
from strongroom.backup.restoring.logical.staging import Staged, stage
from strongroom.backup.restoring.wording import size_text
from strongroom.errors import ConfigurationError
from strongroom.postgres import (
    Connection,
    MissingPrivilegeError,
    find_binaries,
    free_bytes,
    scratch_cluster,
    server_errors,
)

_SCRATCH_NAME = "restore"
_WHERE = "The target server"
_HEADROOM_BYTES = 64 << 20
_LOOPBACK = ("127.0.0.1", "::1")
_TARGET = """
SELECT current_database(), (SELECT system_identifier::text FROM pg_catalog.pg_control_system()),
       pg_catalog.current_setting('server_version_num')::int / 10000, pg_catalog.pg_is_in_recovery(), r.rolsuper,
       r.rolsuper OR r.rolcreatedb, pg_catalog.has_database_privilege(current_database(), 'CREATE'),
       CASE WHEN t.spcname = 'pg_default'
            THEN (SELECT setting FROM pg_catalog.pg_settings WHERE name = 'data_directory')
            ELSE pg_catalog.pg_tablespace_location(t.oid) END,
       pg_catalog.host(pg_catalog.inet_server_addr())
  FROM pg_catalog.pg_roles r, pg_catalog.pg_database d JOIN pg_catalog.pg_tablespace t ON t.oid = d.dattablespace
 WHERE r.rolname = current_user AND d.datname = CASE WHEN %s THEN 'template0' ELSE current_database() END
"""


@dataclass(frozen=True)
class TargetFacts:
    """The target server, as it says itself."""

    database: str
    system_identifier: str
    major: int
    standby: bool
    superuser: bool
    may_make_databases: bool
    may_make_schemas: bool
    directory: str | None
    """Where it would write; None where the connection's user may not know that."""
    address: str | None
    """Which of its addresses was reached; None for a Unix socket."""

    @property
    def available_bytes(self) -> int | None:
        """How much room its disk has; None where that cannot be seen from here."""
        if self.directory and (self.address is None or self.address in _LOOPBACK):
            with suppress(OSError):
                return free_bytes(Path(self.directory))
        return None

    def is_source(self, server: ServerFacts, contents: LogicalContents) -> bool:
        """Whether this is the database that was backed up."""
        return (self.system_identifier, self.database) == (server.system_identifier, contents.database.name)


@dataclass(frozen=True)
class Ready:
    """A restore of which nothing is left to be refused."""

    request: LogicalRestoreRequest
    stored: StoredManifest
    loader: LogicalLoader
    control: Connection
    conninfo: str
    target: TargetFacts
    staged: Staged | None
    """The definitions of chosen tables; None for the whole database."""

    @property
    def is_source(self) -> bool:
        """Whether the target is the living database that the backup is of."""
        return self.target.is_source(self.stored.manifest.server, self.loader.contents)

    @property
    def chosen(self) -> dict[Name, Name]:
        """The tables with rows that come back, by their names in the backup, and their names until they are done."""
        labels = [table.label for table in self.loader.contents.tables]
        if self.staged is None:
            return {label: label for label in labels}
        return {label: self.staged.moved[label] for label in labels if label in self.staged.moved}

    @property
    def written_bytes(self) -> int:
        """The tables' size on the source's disk, without indexes."""
        chosen = self.chosen
        return sum(table.size_bytes for table in self.loader.contents.tables if table.label in chosen)

    @property
    def needed_bytes(self) -> int:
        """Room on the target's disk: indexes are taken to be as large as their tables."""
        return 2 * self.written_bytes + _HEADROOM_BYTES


@contextmanager
def ready(
    request: LogicalRestoreRequest,
    stored: StoredManifest,
    loader: LogicalLoader,
    control: Connection,
    conninfo: str,
    scratch_root: Path,
    search: Sequence[Path],
) -> Iterator[Ready]:
    """A restore with its definitions made, once nothing speaks against it.

    Args:
        request: what is wanted.
        stored: the backup.
        loader: of the backup.
        control: a session in the target's database.
        conninfo: of that session.
        scratch_root: where the definitions of single tables are prepared.
        search: further places of PostgreSQL's programs.

    Raises:
        TargetExistsError: the new name is taken; `LiveSourceError` when by the source itself.
        TableMissingError: the backup has no such table.
        InputError: the tables need others that were not chosen.
        ConfigurationError: the server is older, a standby, or lacks roles or extensions.
        MissingPrivilegeError: the connection's user may not make what is wanted.
        NotEnoughRoomError: it would not fit; the message has both numbers.
    """
    target = _target_facts(control, whole=request.selection is None)
    check_tools(loader, target.major)
    if target.standby:
        raise ConfigurationError(
            "The target server is a standby: nothing can be written there.",
            hint="Restore into its primary, or into a server of its own.",
        )
    if request.selection is None:
        _refuse_database(request, stored, loader, control, target)
        yield _with_room(Ready(request, stored, loader, control, conninfo, target, None))
        return
    targets.refuse_schema(control, request.new_name)
    _check_may(target.may_make_schemas, f"make schemas in {target.database}", "CREATE ON DATABASE", control)
    _refuse_living_schema(request, request.selection.named_schemas, target, stored, loader)
    binaries = find_binaries(stored.manifest.server.major, search)
    with scratch_cluster(scratch_root, binaries, _SCRATCH_NAME) as scratch:
        staged = stage(loader, scratch, request.selection, targets.unfinished_name(), request.rename_to)
        found = Ready(request, stored, loader, control, conninfo, target, staged)
        _refuse_living_schema(request, {schema for schema, _ in staged.tables}, target, stored, loader)
        targets.check_present_extensions(control, staged.extensions)
        yield _with_room(found)


def _target_facts(control: Connection, *, whole: bool) -> TargetFacts:
    with server_errors(_WHERE):
        row = control.execute(_TARGET.encode(), (whole,)).fetchone()
    if row is None:
        raise ConfigurationError("The target server does not say what it is.")
    return TargetFacts(*row)


def _refuse_database(
    request: LogicalRestoreRequest,
    stored: StoredManifest,
    loader: LogicalLoader,
    control: Connection,
    target: TargetFacts,
) -> None:
    source = (stored.manifest.server.system_identifier, loader.contents.database.name)
    if (target.system_identifier, request.new_name) == source and database_exists(control, request.new_name):
        raise LiveSourceError(
            f"{request.new_name} is the living database that the backup is of; a restore never goes over it.",
            hint="Choose another name for the new database.",
        )
    targets.refuse_database(control, request.new_name)
    _check_may(target.may_make_databases, "make databases", "CREATEDB", control)
    check_extensions(control, loader.contents.extensions)
    if request.owners:
        targets.check_roles(control, loader.contents.roles)


def _refuse_living_schema(
    request: LogicalRestoreRequest,
    schemas: Collection[str],
    target: TargetFacts,
    stored: StoredManifest,
    loader: LogicalLoader,
) -> None:
    """Where the application looks for its tables, none may appear that lack triggers, policies and privileges."""
    if request.new_name in schemas and target.is_source(stored.manifest.server, loader.contents):
        raise LiveSourceError(
            f"{target.database} is the living database that the backup is of, and the tables were in the schema"
            f" {request.new_name} there.",
            hint="Choose a new schema's name; when you are sure, move them with ALTER TABLE ... SET SCHEMA.",
        )


def _check_may(allowed: bool, what: str, privilege: str, control: Connection) -> None:
    if not allowed:
        user = control.info.user
        grant = f'ALTER ROLE "{user}" CREATEDB;'
        if privilege != "CREATEDB":
            grant = f'GRANT {privilege} "{control.info.dbname}" TO "{user}";'
        raise MissingPrivilegeError(
            f"The user {user} of the target's connection may not {what}.",
            hint=f"Name a connection whose user may, or run as an administrator: {grant}",
        )


def _with_room(found: Ready) -> Ready:
    available = found.target.available_bytes
    if available is not None and available < found.needed_bytes:
        raise NotEnoughRoomError(
            f"The disk of the target server has {size_text(available)} free; the restore needs about"
            f" {size_text(found.needed_bytes)}.",
            hint="Free some room, choose fewer tables, or restore into another server.",
        )
    return found
