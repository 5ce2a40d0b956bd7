"""Restoring from a logical backup: a whole database under a new name, or tables under a new schema.

    permission → attempt recorded → manifest → everything that can be refused → load under a temporary name
    → compare with the backup's fingerprints → indexes and constraints → its real name, in one step → result recorded

Nothing that exists is touched. A restore that fails drops what it made; what a killed one left has a temporary name,
and the next restore into the same place drops it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from strongroom.access import Actor, Permission, require
from strongroom.backup.fingerprints import FingerprintDocument, parse_fingerprints
from strongroom.backup.logical.contents import LogicalContents, Name
from strongroom.backup.manifest import BackupManifest, manifest_key, read_manifest
from strongroom.backup.restoring.copied import Uses, copies_used
from strongroom.backup.restoring.errors import NotThisBackupError
from strongroom.backup.restoring.logical import targets
from strongroom.backup.restoring.logical.comparing import Comparison, compare
from strongroom.backup.restoring.logical.databases import (
    check_extensions,
    create_database,
    describe_database,
    rename_database,
)
from strongroom.backup.restoring.logical.loading import APPLICATION, LogicalLoader, check_tools
from strongroom.backup.restoring.logical.selecting import Selection
from strongroom.backup.restoring.logical.staging import Staged, stage
from strongroom.backup.restoring.logical.trail import RestoreTrail
from strongroom.backup.restoring.objects import BackupObjects, SoundObjects, from_any_copy
from strongroom.errors import InputError
from strongroom.postgres import (
    PostgresError,
    connect,
    find_binaries,
    remove_stale_scratch,
    scratch_cluster,
    scratch_directory,
    server_major,
    with_database,
)

if TYPE_CHECKING:
    from strongroom.audit import EventRecorder
    from strongroom.signing import VerifierKey
    from strongroom.storage import ObjectStore
    from strongroom.vault import Vault

_SCRATCH_NAME = "restore"
_NAMED = 5


@dataclass(frozen=True)
class LogicalRestoreParts:
    """What a restorer works with; the composition root gives it."""

    store: ObjectStore
    vault: Vault
    events: EventRecorder
    """Takes the events: the control database's queue, or a journal where there is none."""
    trusted: VerifierKey
    """The key that manifests must be signed with."""
    scratch_root: Path
    postgres_directories: Sequence[Path] = ()


@dataclass(frozen=True)
class LogicalRestoreResult:
    """What was restored: names and counts, safe to log and to pass between tasks."""

    database: str
    backup_id: str
    target: str
    """The new database, or the new schema."""
    tables: tuple[str, ...]
    """By their names in the backup."""
    compared: int
    """How many of them were found equal to the source's fingerprints."""
    not_compared: tuple[str, ...]
    left_out: tuple[str, ...]
    """What belonged to the tables and did not come along."""
    seconds: float
    from_copies: Uses = ()
    """The objects that a copy gave, since the store had none that was sound."""


class LogicalRestorer:
    """Restores from logical backups.

    Args:
        parts: what it works with.
        objects: where objects come from, by actor; the vault without it.
    """

    def __init__(
        self, parts: LogicalRestoreParts, *, objects: Callable[[Actor], BackupObjects] | None = None
    ) -> None:
        self._parts = parts
        self._objects = objects or (lambda actor: SoundObjects(parts.store, parts.vault, actor))

    @from_any_copy
    def contents(self, actor: Actor, database: str, backup_id: str | None = None) -> LogicalContents:
        """What a backup holds.

        Raises:
            BackupMissingError: there is no such backup.
            InputError: it is not a logical one.
        """
        require(actor, Permission.OPEN_OBJECT)
        with self._loader(actor, database, backup_id) as loader:
            return loader.contents

    @from_any_copy
    def restore_database(
        self,
        actor: Actor,
        database: str,
        conninfo: str,
        new_database: str,
        *,
        backup_id: str | None = None,
        owners: bool = True,
    ) -> LogicalRestoreResult:
        """Restore everything into a new database.

        Args:
            actor: who asks; needs `open_object` and `restore_backup`.
            database: whose backup, by its policy's name.
            conninfo: the target server; its database is where the control session goes.
            new_database: the new database's name.
            backup_id: the backup; the newest without it.
            owners: whether owners and privileges are restored; their roles must exist.

        Raises:
            TargetExistsError: there is a database of that name.
            ConfigurationError: the server is older, or lacks roles or extensions.
            RestoredContentError: what was loaded differs from the source.
        """
        with (
            copies_used(self._parts.store) as from_copies,
            self._recorded(actor, database, backup_id) as trail,
            self._loader(actor, database, trail.backup_id) as loader,
            connect(conninfo, application_name=APPLICATION) as control,
        ):
            began = time.monotonic()
            options = () if owners else ("--no-owner", "--no-privileges")
            targets.refuse_database(control, new_database)
            check_tools(loader, server_major(control))
            check_extensions(control, loader.contents.extensions)
            if owners:
                targets.check_roles(control, loader.contents.roles)
            with targets.unfinished_database(control) as temporary:
                create_database(control, temporary, loader.contents.database)
                place = with_database(conninfo, temporary)
                loaded = loader.load(place, restore_options=options)
                _refuse_problems(loaded.problems)
                names = {table.label: table.label for table in loader.contents.tables}
                comparison = compare(self._fingerprints(loader), loader.contents, place, names)
                describe_database(control, temporary, loader.contents.database)
                rename_database(control, temporary, new_database)
            return _result(trail, new_database, sorted(names), comparison, (), began, from_copies())

    @from_any_copy
    def restore_tables(
        self,
        actor: Actor,
        database: str,
        selection: Selection,
        conninfo: str,
        schema: str,
        *,
        backup_id: str | None = None,
        new_name: str | None = None,
    ) -> LogicalRestoreResult:
        """Restore tables into a new schema of a database.

        Args:
            actor: who asks; needs `open_object` and `restore_backup`.
            database: whose backup, by its policy's name.
            selection: the tables; partitions come with what they are partitions of.
            conninfo: the target database.
            schema: the new schema's name.
            backup_id: the backup; the newest without it.
            new_name: for a single table, its new name.

        Raises:
            TableMissingError: the backup has no such table.
            TargetExistsError: there is a schema of that name.
            InputError: the tables need others that were not chosen.
            RestoredContentError: what was loaded differs from the source.
        """
        with (
            copies_used(self._parts.store) as from_copies,
            self._recorded(actor, database, backup_id) as trail,
            self._loader(actor, database, trail.backup_id) as loader,
            connect(conninfo, application_name=APPLICATION) as control,
        ):
            began = time.monotonic()
            targets.refuse_schema(control, schema)
            check_tools(loader, server_major(control))
            temporary = targets.unfinished_name()
            with self._staged(loader, selection, temporary, new_name) as staged:
                targets.check_present_extensions(control, staged.extensions)
                with targets.unfinished_schema(control, temporary):
                    comparison = self._load_tables(loader, staged, conninfo)
                    targets.rename_schema(control, temporary, schema)
            return _result(trail, schema, staged.tables, comparison, staged.left_out, began, from_copies())

    def _load_tables(self, loader: LogicalLoader, staged: Staged, conninfo: str) -> Comparison:
        own = ("--no-owner", "--no-privileges")
        _refuse_problems(loader.restore_archive(staged.pre, conninfo, own))
        moved = staged.moved
        chosen = [table for table in loader.contents.tables if table.label in moved]
        names = {table.label: moved[table.label] for table in chosen}
        through = {table.label: moved[table.into] for table in chosen if table.into in moved}
        loader.rows(conninfo, names | through)
        sequences = [
            (entry, staged.moved[entry.schema, entry.name])
            for entry in loader.contents.sequences
            if (entry.schema, entry.name) in staged.moved
        ]
        if sequences:
            loader.sequences(conninfo, sequences)
        comparison = compare(self._fingerprints(loader), loader.contents, conninfo, names)
        _refuse_problems(loader.restore_archive(staged.post, conninfo, (*own, "--jobs=2")))
        return comparison

    @contextmanager
    def _staged(
        self, loader: LogicalLoader, selection: Selection, schema: str, new_name: str | None
    ) -> Iterator[Staged]:
        binaries = find_binaries(loader.manifest.server.major, self._parts.postgres_directories)
        with scratch_cluster(self._parts.scratch_root, binaries, _SCRATCH_NAME) as scratch:
            yield stage(loader, scratch, selection, schema, new_name)

    @contextmanager
    def _loader(self, actor: Actor, database: str, backup_id: str | None) -> Iterator[LogicalLoader]:
        objects = self._objects(actor)
        manifest = self._manifest(objects, database, backup_id or objects.newest(database))
        root = self._parts.scratch_root
        root.mkdir(parents=True, exist_ok=True)
        remove_stale_scratch(root)
        with scratch_directory(root, "definitions") as directory:
            yield LogicalLoader(manifest, objects, directory, self._parts.postgres_directories)

    def _manifest(self, objects: BackupObjects, database: str, backup_id: str) -> BackupManifest:
        what = f"The manifest {manifest_key(database, backup_id)}"
        manifest = read_manifest(objects.manifest(database, backup_id), self._parts.trusted, what)
        if (manifest.database, manifest.backup_id) != (database, backup_id):
            raise NotThisBackupError(
                f"{what} belongs to the backup {manifest.backup_id} of {manifest.database}."
            )
        if manifest.method != "logical":
            raise InputError(
                f"The backup {backup_id} of {database} is a physical one: it comes back as a whole cluster.",
                hint="Restore the cluster with `strongroom restore run`, then copy the tables from it.",
            )
        return manifest

    def _fingerprints(self, loader: LogicalLoader) -> FingerprintDocument | None:
        for item in loader.manifest.having("fingerprints"):
            return parse_fingerprints(loader.document(item))
        return None

    @contextmanager
    def _recorded(self, actor: Actor, database: str, backup_id: str | None) -> Iterator[RestoreTrail]:
        parts = self._parts
        trail = RestoreTrail(parts.events, actor, database, backup_id or "")
        trail.authorise()
        trail = replace(trail, backup_id=backup_id or self._objects(actor).newest(database))
        trail.attempt()
        try:
            yield trail
        except BaseException as error:
            trail.failure(error)
            raise


def _result(
    trail: RestoreTrail,
    target: str,
    tables: Sequence[Name],
    comparison: Comparison,
    left_out: tuple[str, ...],
    began: float,
    from_copies: Uses,
) -> LogicalRestoreResult:
    compared, not_compared = comparison
    trail.success(len(tables), compared, len(left_out), from_copies)
    return LogicalRestoreResult(
        database=trail.database,
        backup_id=trail.backup_id,
        target=target,
        tables=tuple(".".join(name) for name in tables),
        compared=compared,
        not_compared=not_compared,
        left_out=left_out,
        seconds=time.monotonic() - began,
        from_copies=from_copies,
    )


def _refuse_problems(problems: Sequence[str]) -> None:
    if problems:
        rest = f"; and {len(problems) - _NAMED} more" if len(problems) > _NAMED else ""
        raise PostgresError(
            f"The target server refused parts of the backup: {'; '.join(problems[:_NAMED])}{rest}",
            hint="Nothing was kept. Where a role is missing or a privilege, restore without owners.",
        )
