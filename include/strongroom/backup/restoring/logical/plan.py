"""The plan of a restore from a logical backup: decided before anything is written, approved by its hash.

    {"format": "strongroom/logical-restore-plan/v1", "kind": "tables" | "database",
     "database": "shop", "backup_id": ..., "manifest_sha256": ...,
     "source": {"database": "shop", "system_identifier": ..., "major": 18, "version": "18.6"},
     "target": {"connection": "shop", "database": "shop", "system_identifier": ..., "major": 18, "is_source": true},
     "new_name": "last_month", "rename_to": null, "owners": false,
     "selection": {"tables": [["public", "customer"]], "schemas": []} | null,
     "tables": [["public", "customer"]], "table_count": 1,
     "brought_along": ["type public.mood"], "left_out": ["trigger ... of public.customer"],
     "extensions": ["citext in public"], "roles": [],
     "fetched_bytes": ..., "written_bytes": ..., "needed_bytes": ...}

`tables` is what the selection comes to, partitions included; a whole database is named by its manifest's hash and
counted. The hash is over this; what else is known is told beside it (`LogicalEstimate`).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from strongroom.backup.logical.contents import Name
from strongroom.backup.manifest import BackupId, Count, Sha256
from strongroom.backup.restoring.errors import PlanChangedError
from strongroom.backup.restoring.logical.request import LogicalRestoreRequest
from strongroom.backup.restoring.logical.selecting import Selection
from strongroom.backup.restoring.wording import duration_text, printable, size_text
from strongroom.canonical import JsonObject, canonical_sha256
from strongroom.errors import InputError

PLAN_FORMAT: Literal["strongroom/logical-restore-plan/v1"] = "strongroom/logical-restore-plan/v1"
_STRICT = ConfigDict(extra="forbid", strict=True)
_SHOWN = 20
Identifier = Annotated[str, Field(min_length=1, max_length=63)]


@dataclass(frozen=True)
class PlannedSource:
    """What was backed up."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    database: str
    system_identifier: str
    major: int
    version: str


@dataclass(frozen=True)
class PlannedTarget:
    """The server and the database that the restore goes to."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    connection: str
    """Its name in the settings, or of Airflow's connection `db_<name>`."""
    database: str
    """That tables go into; for a new database, the one that is asked to make it."""
    system_identifier: str
    """The server itself: the same connection that leads elsewhere is another target."""
    major: int
    is_source: bool
    """Whether this is the living database that the backup is of."""


@dataclass(frozen=True)
class LogicalRestorePlan:
    """What a restore from a logical backup will do."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    kind: Literal["tables", "database"]
    database: str
    """Its name in its policy."""
    backup_id: BackupId
    manifest_sha256: Sha256
    source: PlannedSource
    target: PlannedTarget
    new_name: Identifier
    """The new schema, or the new database."""
    rename_to: Identifier | None
    """A single table's new name."""
    owners: bool
    """Whether owners and privileges are restored."""
    selection: Selection | None
    """What was asked for; None for the whole database."""
    tables: tuple[Name, ...]
    """What that comes to, by the names in the backup; nothing for the whole database."""
    table_count: Count
    brought_along: tuple[str, ...]
    """Types, functions and the like that the tables need: they go into the new schema too."""
    left_out: tuple[str, ...]
    """What belongs to the tables and does not come along."""
    extensions: tuple[str, ...]
    """What the target must have, with their schemas."""
    roles: tuple[str, ...]
    """Who owns something or is granted something, where that is restored."""
    fetched_bytes: Count
    written_bytes: Count
    needed_bytes: Count
    """Room that the target's disk must have, indexes included."""
    format: Literal["strongroom/logical-restore-plan/v1"] = PLAN_FORMAT

    def document(self) -> JsonObject:
        """The plan as JSON: names and sizes, no content."""
        document: JsonObject = _ADAPTER.dump_python(self, mode="json")
        return document

    @property
    def sha256(self) -> str:
        """What an approval names."""
        return canonical_sha256(self.document()).hex()

    def require(self, sha256: str) -> None:
        """Let a plan pass that is the approved one.

        Raises:
            PlanChangedError: the hash is another plan's.
        """
        if sha256.lower() != self.sha256:
            raise PlanChangedError(
                f"The plan's hash is {self.sha256}, not {sha256[:64]}: this is not the plan that was approved.",
                hint="Look at the plan as it is now, and approve that one.",
            )

    def request(self) -> LogicalRestoreRequest:
        """What it takes to make this plan again: of this backup, whatever is newest by then."""
        return LogicalRestoreRequest(
            self.database,
            self.target.connection,
            self.new_name,
            self.selection,
            self.backup_id,
            self.target.database,
            self.rename_to,
            self.owners,
        )


_ADAPTER: TypeAdapter[LogicalRestorePlan] = TypeAdapter(LogicalRestorePlan)


def parse_logical_plan(document: JsonObject) -> LogicalRestorePlan:
    """The plan in a document, as another task hands it over; check its hash next.

    Raises:
        InputError: it is no plan of this format.
    """
    try:
        return _ADAPTER.validate_json(json.dumps(document))
    except ValidationError as error:
        places = ", ".join(".".join(map(str, item["loc"])) or "format" for item in error.errors()[:5])
        raise InputError(f"This is no restore plan: {places} is not as it must be.") from error


@dataclass(frozen=True)
class LogicalEstimate:
    """What is known besides: for people to judge by, no part of the plan's hash.

    Args:
        seconds: how long it should take.
        basis: where that comes from.
        taken_at: when the backup began.
        proof: what its last verification found, in words.
        available_bytes: how much room the target's disk has; None where that cannot be seen from here.
        notes: what a person should know before saying yes.
    """

    seconds: float
    basis: str
    taken_at: datetime
    proof: str
    available_bytes: int | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class PlannedLogicalRestore:
    """A plan with what is known besides."""

    plan: LogicalRestorePlan
    estimate: LogicalEstimate

    def lines(self) -> list[str]:
        """Both as a person reads them."""
        return [*_lines(self.plan, self.estimate), f"  plan hash  {self.plan.sha256}"]


def _lines(plan: LogicalRestorePlan, estimate: LogicalEstimate) -> list[str]:
    source, target = plan.source, plan.target
    taken = f"{estimate.taken_at:%Y-%m-%d %H:%M:%S %Z}"
    tables = [".".join(name) for name in plan.tables]
    lines = [
        f"Restore {_what(plan)} of {plan.database} into {_new(plan)}",
        f"  from       the logical backup {plan.backup_id} of {taken}, PostgreSQL {source.version}",
        f"  proof      {estimate.proof}",
        f"  into       the database {_name(target.database)} of the connection {_name(target.connection)},"
        f" PostgreSQL {target.major}{', the living source' if target.is_source else ''}",
        *_list("tables", tables),
        *([f"  new name   {_name(plan.rename_to)}"] if plan.rename_to else []),
        *_list("with", plan.brought_along),
        *_list("left out", plan.left_out),
        *_list("extensions", plan.extensions),
        *_list("roles", plan.roles),
        f"  fetched    {size_text(plan.fetched_bytes)}, written {size_text(plan.written_bytes)} and indexes",
        f"  needs      about {size_text(plan.needed_bytes)} of the server's disk, {_available(estimate)}",
        f"  takes      about {duration_text(estimate.seconds)} ({estimate.basis})",
    ]
    return [*lines, *(f"  note       {note}" for note in estimate.notes)]


def _what(plan: LogicalRestorePlan) -> str:
    count = f"{plan.table_count} table{'s' * (plan.table_count != 1)}"
    return count if plan.kind == "tables" else f"the whole database, {count},"


def _new(plan: LogicalRestorePlan) -> str:
    return f"the new {'schema' if plan.kind == 'tables' else 'database'} {_name(plan.new_name)}"


def _list(title: str, items: tuple[str, ...] | list[str]) -> list[str]:
    if not items:
        return []
    shown = "; ".join(map(_name, items[:_SHOWN]))
    more = f"; and {len(items) - _SHOWN} more, which the plan lists" if len(items) > _SHOWN else ""
    return [f"  {title:<10} {shown}{more}"]


def _available(estimate: LogicalEstimate) -> str:
    if estimate.available_bytes is None:
        return "which cannot be seen from here"
    return f"which has {size_text(estimate.available_bytes)} free"


def _name(text: Any) -> str:
    return printable(str(text))
