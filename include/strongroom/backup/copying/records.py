"""What a run to a copy records: its events, and what the copy holds now."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from strongroom.access import Actor, Permission, require
from strongroom.audit import AuditSink, Event, EventType, PolicyReference, Target
from strongroom.backup.copying.filling import Problem
from strongroom.backup.copying.interface import CopyPlan
from strongroom.backup.manifest import manifest_key
from strongroom.catalog import CopiedBackup, CopyRepository, CopyRun
from strongroom.clock import Clock
from strongroom.errors import AccessDeniedError, StrongroomError

if TYPE_CHECKING:
    from sqlalchemy import Engine

_NAMED_PROBLEMS = 20


@dataclass
class Tally:
    """What a run did so far."""

    copied_objects: int = 0
    copied_bytes: int = 0
    problems: list[Problem] = field(default_factory=list)


class CopyRecorder:
    """Records one run to one copy.

    Args:
        scope: `all`, or `wal` for a run that follows the log; how one of these ended is told by the log alone.
    """

    def __init__(
        self,
        engine: Engine,
        sink: AuditSink,
        clock: Clock,
        actor: Actor,
        plan: CopyPlan,
        copy: str,
        scope: Literal["all", "wal"] = "all",
    ) -> None:
        self._engine, self._sink, self._clock = engine, sink, clock
        self._actor, self._plan, self._copy = actor, plan, copy
        self._scope = scope
        self._correlation_id = uuid.uuid4().hex
        self._copies = CopyRepository()

    def authorise(self) -> None:
        """Let a permitted actor pass; a refusal is recorded.

        Raises:
            AccessDeniedError: it is not permitted.
        """
        try:
            require(self._actor, Permission.COPY_OBJECTS)
        except AccessDeniedError as error:
            event = replace(
                self._event("result", "denied", error),
                type=EventType.ACCESS_PERMISSION_REFUSE,
                details={"permission": str(Permission.COPY_OBJECTS)},
            )
            self._emit(event)
            raise

    def attempt(self) -> None:
        """The run is about to begin."""
        self._emit(self._event("attempt"))

    def known(self) -> set[str]:
        """The backups that the copy was known to hold."""
        with self._engine.connect() as connection:
            found = self._copies.backups(connection, self._plan.database, self._copy)
        return {record.backup_id for record in found}

    def holds(self, backup_id: str, locked_until: datetime | None) -> None:
        """The copy holds one more backup."""
        database = self._plan.database
        event = replace(
            self._event("result", "success"),
            type=EventType.COPY_BACKUP_REPLICATE,
            target=Target("backup", manifest_key(database, backup_id)),
            details={"copy": self._copy, "locked": locked_until is not None},
        )
        record = CopiedBackup(self._copy, backup_id, database, self._clock.now(), locked_until)
        with self._engine.begin() as connection:
            self._copies.add_backup(connection, record)
            self._sink.emit(connection, event)

    def forget(self, backup_ids: set[str]) -> None:
        """The copy no longer holds these."""
        if backup_ids:
            with self._engine.begin() as connection:
                self._copies.forget_backups(connection, self._copy, backup_ids)

    def finished(self, tally: Tally) -> None:
        """The run went through to its end."""
        outcome: Literal["success", "partial"] = "partial" if tally.problems else "success"
        self._finish(tally, outcome, self._event("result", outcome))

    def failed(self, tally: Tally, error: BaseException) -> None:
        """The run broke off. When even that cannot be recorded, the error says so."""
        try:
            self._finish(tally, "failure", self._event("result", "failure", error))
        except StrongroomError as unrecorded:
            error.add_note(f"This failure could not be recorded: {unrecorded.message}")

    def _finish(self, tally: Tally, outcome: str, event: Event) -> None:
        run = CopyRun(
            self._copy,
            self._plan.database,
            self._clock.now(),
            outcome,
            tally.copied_objects,
            tally.copied_bytes,
            len(tally.problems),
        )
        counts = {
            "objects": tally.copied_objects,
            "copied_bytes": tally.copied_bytes,
            "problems": len(tally.problems),
        }
        details = {**event.details, **_named(tally.problems)}
        with self._engine.begin() as connection:
            if self._scope == "all":
                self._copies.finish_run(connection, run)
            self._sink.emit(connection, replace(event, counts=counts, details=details))

    def _event(self, phase: Any, outcome: Any = None, error: BaseException | None = None) -> Event:
        return Event(
            type=EventType.COPY_RUN_EXECUTE,
            phase=phase,
            outcome=outcome,
            actor=self._actor,
            target=Target("copy", self._copy),
            database=self._plan.database,
            policy=PolicyReference(self._plan.policy_sha256),
            correlation_id=self._correlation_id,
            details={"copy": self._copy, "scope": self._scope},
            error_class=type(error).__name__ if error else None,
        )

    def _emit(self, event: Event) -> None:
        with self._engine.begin() as connection:
            self._sink.emit(connection, event)


def _named(problems: Sequence[Problem]) -> dict[str, Any]:
    keys = [problem.key for problem in problems[:_NAMED_PROBLEMS]]
    return {"problem_keys": keys} if keys else {}
