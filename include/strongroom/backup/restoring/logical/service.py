"""Restoring from a logical backup: a whole database under a new name, or tables under a new schema.

    plan   permission → backup → everything that can be refused → plan, recorded
    run    permission → attempt recorded → everything that can be refused → the same plan → load under a temporary name
           → compare with the backup's fingerprints → indexes and constraints → its real name, in one step → recorded

Nothing that exists is touched. A restore that fails drops what it made; what a killed one left has a temporary name,
and the next restore into the same place drops it.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from strongroom.access import Actor, Permission, require
from strongroom.backup.fingerprints import FingerprintDocument, parse_fingerprints
from strongroom.backup.logical.contents import LogicalContents, Name
from strongroom.backup.manifest import manifest_key, read_manifest
from strongroom.backup.restoring.copied import Uses, copies_used
from strongroom.backup.restoring.errors import BackupMissingError, NotThisBackupError, PlanChangedError
from strongroom.backup.restoring.facts import RestoreFacts, StoredManifest, gather
from strongroom.backup.restoring.logical import targets
from strongroom.backup.restoring.logical.comparing import Comparison, compare
from strongroom.backup.restoring.logical.databases import create_database, describe_database, rename_database
from strongroom.backup.restoring.logical.loading import APPLICATION, LogicalLoader
from strongroom.backup.restoring.logical.plan import LogicalRestorePlan, PlannedLogicalRestore
from strongroom.backup.restoring.logical.planning import make_estimate, make_plan
from strongroom.backup.restoring.logical.readiness import Ready, ready
from strongroom.backup.restoring.logical.request import LogicalRestoreRequest
from strongroom.backup.restoring.logical.result import LogicalRestoreResult
from strongroom.backup.restoring.logical.staging import Staged
from strongroom.backup.restoring.logical.trail import RestoreTrail
from strongroom.backup.restoring.objects import BackupObjects, SoundObjects, from_any_copy
from strongroom.errors import InputError
from strongroom.lifetimes import Readers, reading
from strongroom.postgres import (
    PostgresError,
    connect,
    remove_stale_scratch,
    scratch_directory,
    with_database,
)

if TYPE_CHECKING:
    from strongroom.audit import EventRecorder
    from strongroom.signing import VerifierKey
    from strongroom.storage import ObjectStore
    from strongroom.vault import Vault

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
    conninfo: Callable[[str], str]
    """Gives the connection string of a target by its connection's name."""
    postgres_directories: Sequence[Path] = ()
    readers: Readers | None = None
    """Keeps purges away from what is restored; None where nothing purges."""


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
        objects = self._objects(actor)
        stored = self._stored(objects, database, backup_id or self._newest(database))
        with self._loader(objects, stored) as loader:
            return loader.contents

    @from_any_copy
    def plan(self, actor: Actor, request: LogicalRestoreRequest) -> PlannedLogicalRestore:
        """Decide what a restore would do. Nothing is written but the record of it.

        Args:
            actor: who asks; needs `open_object` and `restore_backup`: the backup's own list of tables is sealed.
            request: what is wanted.

        Raises:
            AccessDeniedError: the actor may not; the refusal is recorded.
            BackupMissingError: there is no such backup, or no logical one at all.
            TargetExistsError: the new name is taken; `LiveSourceError` when by the source itself.
            TableMissingError: the backup has no such table.
            InputError: the backup is a physical one, or the tables need others that were not chosen.
            ConfigurationError: the target is no place for it: older, a standby, without a role or an extension.
            MissingPrivilegeError: the connection's user may not make what is wanted.
            NotEnoughRoomError: it would not fit; the message has both numbers.
        """
        trail = self._trail(actor, request.database, request.backup_id or "")
        trail.authorise()
        facts = self._facts(request.database)
        backup_id = request.backup_id or _newest_of(facts)
        with self._ready(actor, replace(request, backup_id=backup_id)) as found:
            planned = PlannedLogicalRestore(make_plan(found), make_estimate(found, facts))
        replace(trail, backup_id=backup_id).planned(planned.plan)
        return planned

    @from_any_copy
    def run(self, actor: Actor, plan: LogicalRestorePlan, plan_sha256: str) -> LogicalRestoreResult:
        """Execute a plan that was approved, to the letter.

        Args:
            actor: who asks; needs `open_object` and `restore_backup`.
            plan: as `plan` made it.
            plan_sha256: the hash that was approved.

        Raises:
            PlanChangedError: the hash is another plan's, or what the plan rests on has changed.
            RestoredContentError: what was loaded differs from the source; it was dropped.
            Everything that `plan` raises: the target may have changed since.
        """
        trail = self._trail(actor, plan.database, plan.backup_id)
        trail.authorise()
        plan.require(plan_sha256)
        return self._restore(replace(trail, plan_sha256=plan.sha256), plan.request(), approved=plan)

    @from_any_copy
    def restore(self, actor: Actor, request: LogicalRestoreRequest) -> LogicalRestoreResult:
        """Plan and execute in one go, for a person at a terminal who needs nobody else's word.

        Args:
            actor: who asks; needs `open_object` and `restore_backup`.
            request: what is wanted.

        Raises:
            Everything that `plan` and `run` raise.
        """
        trail = self._trail(actor, request.database, request.backup_id or "")
        trail.authorise()
        backup_id = request.backup_id or self._newest(request.database)
        return self._restore(
            replace(trail, backup_id=backup_id), replace(request, backup_id=backup_id), approved=None
        )

    def _restore(
        self,
        trail: RestoreTrail,
        request: LogicalRestoreRequest,
        approved: LogicalRestorePlan | None,
    ) -> LogicalRestoreResult:
        began = time.monotonic()
        with (
            copies_used(self._parts.store) as from_copies,
            _recorded(trail),
            self._ready(trail.actor, request) as found,
        ):
            plan = make_plan(found)
            if approved is not None:
                _refuse_changes(plan, approved)
            if found.staged is None:
                comparison = self._load_database(found)
            else:
                comparison = self._load_tables(found, found.staged)
            result = _result(found, plan, comparison, began, from_copies())
        trail.success(len(result.tables), result.compared, len(result.left_out), result.from_copies)
        return result

    def _load_database(self, found: Ready) -> Comparison:
        loader, control = found.loader, found.control
        options = () if found.request.owners else ("--no-owner", "--no-privileges")
        with targets.unfinished_database(control) as temporary:
            create_database(control, temporary, loader.contents.database)
            place = with_database(found.conninfo, temporary)
            loaded = loader.load(place, restore_options=options)
            _refuse_problems(loaded.problems)
            comparison = compare(_fingerprints(loader), loader.contents, place, found.chosen)
            describe_database(control, temporary, loader.contents.database)
            rename_database(control, temporary, found.request.new_name)
        return comparison

    def _load_tables(self, found: Ready, staged: Staged) -> Comparison:
        with targets.unfinished_schema(found.control, staged.schema):
            comparison = _fill_schema(found, staged)
            targets.rename_schema(found.control, staged.schema, found.request.new_name)
        return comparison

    @contextmanager
    def _ready(self, actor: Actor, request: LogicalRestoreRequest) -> Iterator[Ready]:
        """A restore of one backup, named in the request, with nothing left that could be refused."""
        objects, parts, conninfo = self._objects(actor), self._parts, self._conninfo(request)
        stored = self._stored(objects, request.database, request.backup_id or self._newest(request.database))
        with (
            reading(parts.readers, request.database, "restore", [f"backup/{stored.manifest.backup_id}"]),
            self._loader(objects, stored) as loader,
            connect(conninfo, application_name=APPLICATION) as control,
            ready(
                request, stored, loader, control, conninfo, parts.scratch_root, parts.postgres_directories
            ) as found,
        ):
            yield found

    @contextmanager
    def _loader(self, objects: BackupObjects, stored: StoredManifest) -> Iterator[LogicalLoader]:
        root = self._parts.scratch_root
        root.mkdir(parents=True, exist_ok=True)
        remove_stale_scratch(root)
        with scratch_directory(root, "definitions") as directory:
            yield LogicalLoader(stored.manifest, objects, directory, self._parts.postgres_directories)

    def _stored(self, objects: BackupObjects, database: str, backup_id: str) -> StoredManifest:
        what = f"The manifest {manifest_key(database, backup_id)}"
        data = objects.manifest(database, backup_id)
        manifest = read_manifest(data, self._parts.trusted, what)
        if (manifest.database, manifest.backup_id) != (database, backup_id):
            raise NotThisBackupError(
                f"{what} belongs to the backup {manifest.backup_id} of {manifest.database}."
            )
        if manifest.method != "logical":
            raise InputError(
                f"The backup {backup_id} of {database} is a physical one: it comes back as a whole cluster.",
                hint="Restore the cluster with `strongroom restore run`, then copy the tables from it.",
            )
        return StoredManifest(manifest, hashlib.sha256(data).hexdigest())

    def _facts(self, database: str) -> RestoreFacts:
        return gather(self._parts.store, database, self._parts.trusted, with_log=False, method="logical")

    def _newest(self, database: str) -> str:
        return _newest_of(self._facts(database))

    def _conninfo(self, request: LogicalRestoreRequest) -> str:
        conninfo = self._parts.conninfo(request.connection)
        return with_database(conninfo, request.target_database) if request.target_database else conninfo

    def _trail(self, actor: Actor, database: str, backup_id: str) -> RestoreTrail:
        return RestoreTrail(self._parts.events, actor, database, backup_id)


def _fill_schema(found: Ready, staged: Staged) -> Comparison:
    """Load the chosen tables into the schema that `staged` makes."""
    loader, conninfo = found.loader, found.conninfo
    own = ("--no-owner", "--no-privileges")
    _refuse_problems(loader.restore_archive(staged.pre, conninfo, own))
    moved, names = staged.moved, found.chosen
    chosen = [table for table in loader.contents.tables if table.label in moved]
    through = {table.label: moved[table.into] for table in chosen if table.into in moved}
    loader.rows(conninfo, names | through)
    sequences = [
        (entry, moved[entry.schema, entry.name])
        for entry in loader.contents.sequences
        if (entry.schema, entry.name) in moved
    ]
    if sequences:
        loader.sequences(conninfo, sequences)
    comparison = compare(_fingerprints(loader), loader.contents, conninfo, names)
    _refuse_problems(loader.restore_archive(staged.post, conninfo, (*own, "--jobs=2")))
    return comparison


@contextmanager
def _recorded(trail: RestoreTrail) -> Iterator[None]:
    trail.attempt()
    try:
        yield
    except BaseException as error:
        trail.failure(error)
        raise


def _newest_of(facts: RestoreFacts) -> str:
    if facts.backups:
        return facts.backups[-1].id
    raise BackupMissingError(
        f"The database {facts.database} has no complete logical backup.",
        hint="`backup.method: logical` in its policy takes them; a physical backup comes back as a whole cluster.",
    )


def _fingerprints(loader: LogicalLoader) -> FingerprintDocument | None:
    for item in loader.manifest.having("fingerprints"):
        return parse_fingerprints(loader.document(item))
    return None


def _refuse_changes(now: LogicalRestorePlan, approved: LogicalRestorePlan) -> None:
    """Execute what was approved, or nothing."""
    if now.sha256 == approved.sha256:
        return
    before, after = approved.document(), now.document()
    changed = ", ".join(sorted(name for name in before if before[name] != after.get(name)))
    raise PlanChangedError(
        f"What the plan rests on has changed since it was made: {changed}.",
        hint="Plan again, read the plan, and have that one approved.",
    )


def _result(
    found: Ready, plan: LogicalRestorePlan, comparison: Comparison, began: float, from_copies: Uses
) -> LogicalRestoreResult:
    compared, not_compared = comparison
    names: Sequence[Name] = found.staged.tables if found.staged else sorted(found.chosen)
    return LogicalRestoreResult(
        kind=plan.kind,
        database=plan.database,
        backup_id=plan.backup_id,
        plan_sha256=plan.sha256,
        target=plan.new_name,
        tables=tuple(".".join(name) for name in names),
        compared=compared,
        not_compared=not_compared,
        left_out=found.staged.left_out if found.staged else (),
        seconds=round(time.monotonic() - began, 3),
        from_copies=from_copies,
    )


def _refuse_problems(problems: Sequence[str]) -> None:
    if problems:
        rest = f"; and {len(problems) - _NAMED} more" if len(problems) > _NAMED else ""
        raise PostgresError(
            f"The target server refused parts of the backup: {'; '.join(problems[:_NAMED])}{rest}",
            hint="Nothing was kept. Where a role is missing or a privilege, restore without owners.",
        )
