"""A restore's plan: everything that will be done, decided before anything is written. It is approved by its hash.

    {"format": "strongroom/restore-plan/v1", "database": ..., "directory": ..., "requested": "to 2026-...",
     "target": {"kind": "time" | "lsn" | "name", "value": ..., "inclusive": ..., "timeline": 1, "action": ...},
     "start": false, "server": {"major": 18, "version": ..., "system_identifier": ..., "segment_bytes": ...},
     "backups": [{"id": ..., "manifest_sha256": ...}, ...]        the chain, the full backup first
     "log": {"first": ..., "last": ..., "own": 2, "archived": 7, "sealed_bytes": ..., "sha256": ...},
     "history": {"timeline": 2, "sha256": ...} | null,
     "fetched_bytes": ..., "written_bytes": ..., "needed_bytes": ...}

The hash is over this. What else is known, such as how long it may take, is told beside it (`Estimate`), so that an
approved plan stays the same plan when another proof comes in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, get_args

from strongroom.backup.restoring.configuration import RecoveryTarget, TargetAction, TargetKind
from strongroom.backup.restoring.errors import PlanChangedError
from strongroom.backup.restoring.wording import duration_text, size_text
from strongroom.canonical import JsonObject, canonical_sha256
from strongroom.errors import InputError

PLAN_FORMAT = "strongroom/restore-plan/v1"


@dataclass(frozen=True)
class PlannedBackup:
    """One backup of the chain."""

    id: str
    manifest_sha256: str


@dataclass(frozen=True)
class PlannedServer:
    """The server that was backed up, and as which it comes back."""

    major: int
    version: str
    system_identifier: str
    segment_bytes: int


@dataclass(frozen=True)
class PlannedLog:
    """The log that is replayed.

    Args:
        first: the first segment's name.
        last: the last one's.
        own: how many of them the backup holds itself.
        archived: how many come from the archive.
        sealed_bytes: how much is fetched for those.
        sha256: over the archived segments' names and hashes.
    """

    first: str
    last: str
    own: int
    archived: int
    sealed_bytes: int
    sha256: str


@dataclass(frozen=True)
class PlannedHistory:
    """The history of the timeline that recovery follows."""

    timeline: int
    sha256: str
    """Of the sealed file."""


@dataclass(frozen=True)
class Estimate:
    """What is known besides: for people to judge by, no part of the plan's hash.

    Args:
        seconds: how long it should take, from the first fetched byte to a server that answers.
        basis: where that comes from.
        frontier: how far the archive reaches without a hole, as a position.
        covered_until: and as a moment, by the source's clock; None where the archive does not say.
        available_bytes: how much room the directory's disk has; None where nobody has looked.
        notes: what a person should know before saying yes.
    """

    seconds: float
    basis: str
    frontier: str
    covered_until: datetime | None = None
    available_bytes: int | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class RestorePlan:
    """What a restore will do."""

    database: str
    directory: str
    requested: str
    """What was asked for, in words."""
    target: RecoveryTarget
    start: bool
    server: PlannedServer
    backups: tuple[PlannedBackup, ...]
    log: PlannedLog
    history: PlannedHistory | None
    fetched_bytes: int
    written_bytes: int
    needed_bytes: int
    """Room that the directory's disk must have."""

    @property
    def backup_id(self) -> str:
        """The backup that recovery begins from: the last of the chain."""
        return self.backups[-1].id

    @property
    def data_directory(self) -> Path:
        """Where the restored cluster will be."""
        return Path(self.directory) / "data"

    @property
    def timeline(self) -> int:
        """The timeline that recovery follows."""
        return int(self.target.timeline)

    def document(self) -> JsonObject:
        """The plan as JSON: references and sizes, no content."""
        target = {**asdict(self.target), "timeline": self.timeline}
        return {
            "format": PLAN_FORMAT,
            **{name: value for name, value in asdict(self).items() if name != "target"},
            "target": target,
            "backups": [asdict(item) for item in self.backups],
        }

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


def parse_plan(document: JsonObject) -> RestorePlan:
    """The plan in a document, as another task hands it over; check its hash next.

    Raises:
        InputError: it is no plan of this format.
    """
    try:
        members = dict(document)
        if members.pop("format") != PLAN_FORMAT:
            raise ValueError(f"its format is not {PLAN_FORMAT}")
        history = members.pop("history")
        return RestorePlan(
            target=_target(members.pop("target")),
            server=PlannedServer(**members.pop("server")),
            backups=tuple(PlannedBackup(**item) for item in members.pop("backups")),
            log=PlannedLog(**members.pop("log")),
            history=PlannedHistory(**history) if history else None,
            **members,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"This is no restore plan: {error}") from error


def _target(members: dict[str, Any]) -> RecoveryTarget:
    target = RecoveryTarget(**{**members, "timeline": str(members["timeline"])})
    if target.kind not in get_args(TargetKind) or target.action not in get_args(TargetAction):
        raise ValueError("its target is none")
    return target


def human_plan(plan: RestorePlan, estimate: Estimate) -> list[str]:
    """The plan as a person reads it, line by line."""
    lines = [
        f"Restore {plan.database} {plan.requested}",
        f"  into       {plan.data_directory} (PostgreSQL {plan.server.version})",
        f"  from       {_chain(plan.backups)}",
        f"  log        {_log(plan.log)}, timeline {plan.timeline}",
        f"  stops at   {_stop(plan.target)}, then {_then(plan)}",
        f"  archive    reaches {estimate.frontier}{_until(estimate)}",
        f"  fetched    {size_text(plan.fetched_bytes)}, written {size_text(plan.written_bytes)}",
        f"  needs      {size_text(plan.needed_bytes)} of disk{_available(estimate)}",
        f"  takes      about {duration_text(estimate.seconds)} ({estimate.basis})",
    ]
    return [*lines, *(f"  note       {note}" for note in estimate.notes), f"  plan hash  {plan.sha256}"]


def _chain(backups: Sequence[PlannedBackup]) -> str:
    return "the backup " + ", then ".join(item.id for item in backups)


def _log(log: PlannedLog) -> str:
    count = log.own + log.archived
    where = f"{log.archived} of them from the archive" if log.archived else "all in the backup itself"
    return f"{log.first} to {log.last}: {count} segments, {where}"


def _stop(target: RecoveryTarget) -> str:
    if target.kind == "name":
        return f"the restore point {target.value}"
    if target.kind == "time":
        return f"the last commit up to {target.value}"
    return f"the last record before {target.value}"


def _then(plan: RestorePlan) -> str:
    if plan.target.action == "promote":
        return "a server of its own, " + ("left running" if plan.start else "stopped")
    opened = "open for reading" if plan.target.action == "pause" else "stopped"
    return f"stays in recovery, {opened if plan.start or plan.target.action == 'shutdown' else 'stopped'}"


def _until(estimate: Estimate) -> str:
    return (
        f", everything up to {estimate.covered_until:%Y-%m-%d %H:%M:%S %Z}" if estimate.covered_until else ""
    )


def _available(estimate: Estimate) -> str:
    return (
        "" if estimate.available_bytes is None else f", which has {size_text(estimate.available_bytes)} free"
    )
