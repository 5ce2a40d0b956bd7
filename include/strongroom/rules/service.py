"""Checking policies against their databases, as a recorded act: whoever asks, DAG or command, asks here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from strongroom.access import Actor, Permission, require
from strongroom.audit import AuditSink, EventType, Target
from strongroom.catalog import PolicyCheckRecord, PolicyCheckRepository
from strongroom.clock import Clock
from strongroom.errors import AccessDeniedError, StrongroomError
from strongroom.policy import Policy
from strongroom.postgres import connect
from strongroom.recording import RunLog
from strongroom.rules.catalogue import LiveCatalogue
from strongroom.rules.checking import examine
from strongroom.rules.drafting import as_policy, draft_policy
from strongroom.rules.drafts import Draft
from strongroom.rules.drift import changes
from strongroom.rules.errors import RulesError
from strongroom.rules.findings import Finding
from strongroom.rules.reading import read_catalogue

if TYPE_CHECKING:
    from sqlalchemy import Engine

APPLICATION_NAME = "strongroom-rules"
"""What the server shows in `pg_stat_activity`."""


@dataclass(frozen=True)
class Memory:
    """Where comparisons are remembered and recorded.

    Args:
        engine: gives the control database.
        sink: takes the events.
    """

    engine: Callable[[], Engine]
    sink: AuditSink


@dataclass(frozen=True)
class RulesParts:
    """What checking works with.

    Args:
        conninfo: gives a database's connection string.
        memory: None where there is no control database: then nothing is compared with last time, and nothing recorded.
        clock: the time.
    """

    conninfo: Callable[[str], str]
    memory: Memory | None
    clock: Clock


@dataclass(frozen=True)
class AgreementReport:
    """How a policy and its database compare."""

    database: str
    checked_at: datetime
    policy_sha256: str
    catalogue_sha256: str
    findings: tuple[Finding, ...]
    """In what they do not agree; nothing where they do."""
    seen_before: datetime | None
    """When the database was last looked at; None when it never was, or nobody remembers."""
    changes: tuple[str, ...]
    """What changed in the database since then."""

    @property
    def agrees(self) -> bool:
        """Whether there is nothing to mend."""
        return not self.findings

    def lines(self) -> tuple[str, ...]:
        """The report for people."""
        lines = [finding.text() for finding in self.findings]
        if self.seen_before is not None:
            since = f"{self.seen_before:%Y-%m-%d %H:%M} UTC"
            changed = f"{len(self.changes)} change(s) in the database since {since}:"
            lines += [changed, *(f"  {change}" for change in self.changes)] if self.changes else []
        lines.append(
            f"{self.database}: the policy and the database agree."
            if self.agrees
            else f"{self.database}: the policy and the database do not agree, in {len(self.findings)} point(s)."
        )
        return tuple(lines)

    def document(self) -> dict[str, Any]:
        """The report as JSON has it."""
        return {
            "database": self.database,
            "agrees": self.agrees,
            "checked_at": self.checked_at,
            "policy_sha256": self.policy_sha256,
            "catalogue_sha256": self.catalogue_sha256,
            "findings": [finding.document() for finding in self.findings],
            "seen_before": self.seen_before,
            "changes": list(self.changes),
        }

    def require(self) -> None:
        """Let an agreement pass.

        Raises:
            RulesError: there are findings; it names them.
        """
        if self.findings:
            raise RulesError(self.database, self.findings)


class RulesService:
    """Compares policies with live databases."""

    def __init__(self, parts: RulesParts) -> None:
        self._parts = parts
        self._checks = PolicyCheckRepository()

    def check(self, actor: Actor, policy: Policy) -> AgreementReport:
        """Compare a policy with its database, and remember what the database looks like.

        Raises:
            AccessDeniedError: the actor may not; the refusal is recorded.
            PostgresError: the database refused or did not answer; that is recorded as a failure.
        """
        log = self._log(actor, policy.database, policy.sha256)
        self._authorise(actor, log)
        try:
            catalogue, findings = self._examine(policy)
        except StrongroomError as error:
            if log is not None:
                log.emit(EventType.POLICY_AGREEMENT_CHECK, "result", "failure", error=error)
            raise
        return self._remember(policy, catalogue, findings, log)

    def draft(self, actor: Actor, database: str) -> Draft:
        """A first policy for a database that has none, from its catalogue and the shape of its content.

        Raises:
            AccessDeniedError: the actor may not.
            PostgresError: the database refused or did not answer.
        """
        require(actor, Permission.CHECK_POLICY)
        with connect(self._parts.conninfo(database), application_name=APPLICATION_NAME) as connection:
            made = draft_policy(database, connection)
        log = self._log(actor, database, as_policy(made).sha256)
        if log is not None:
            personal = sum(len(table.columns) for table in made.tables)
            counts = {"tables": len(made.tables), "personal_columns": personal}
            log.emit(EventType.POLICY_DRAFT_MAKE, "result", "success", counts=counts)
        return made

    def catalogue(self, actor: Actor, database: str) -> LiveCatalogue:
        """The catalogue of a database as it is now.

        Raises:
            AccessDeniedError: the actor may not.
            PostgresError: the database refused or did not answer.
        """
        require(actor, Permission.CHECK_POLICY)
        with connect(self._parts.conninfo(database), application_name=APPLICATION_NAME) as connection:
            return read_catalogue(connection)

    def last_agreed(self, database: str) -> PolicyCheckRecord | None:
        """The newest comparison of a database; its `policy` is the one that last agreed."""
        if self._parts.memory is None:
            return None
        with self._parts.memory.engine().connect() as connection:
            return self._checks.find(connection, database)

    def _examine(self, policy: Policy) -> tuple[LiveCatalogue, tuple[Finding, ...]]:
        with connect(self._parts.conninfo(policy.database), application_name=APPLICATION_NAME) as connection:
            catalogue = read_catalogue(connection)
            return catalogue, examine(policy, connection, catalogue)

    def _remember(
        self, policy: Policy, catalogue: LiveCatalogue, findings: tuple[Finding, ...], log: RunLog | None
    ) -> AgreementReport:
        now = self._parts.clock.now()
        before = self.last_agreed(policy.database)
        after = catalogue.document()
        report = AgreementReport(
            database=policy.database,
            checked_at=now,
            policy_sha256=policy.sha256,
            catalogue_sha256=catalogue.sha256,
            findings=findings,
            seen_before=before.checked_at if before else None,
            changes=changes(before.catalogue, after) if before else (),
        )
        if log is not None:
            with log.transaction() as connection:
                self._checks.keep(connection, _record(report, policy, after, before))
                log.sink.emit(connection, _event(log, report))
        return report

    def _authorise(self, actor: Actor, log: RunLog | None) -> None:
        try:
            require(actor, Permission.CHECK_POLICY)
        except AccessDeniedError as error:
            if log is not None:
                details = {"permission": str(Permission.CHECK_POLICY)}
                log.emit(EventType.ACCESS_PERMISSION_REFUSE, "result", "denied", details=details, error=error)
            raise

    def _log(self, actor: Actor, database: str, policy_sha256: str) -> RunLog | None:
        if self._parts.memory is None:
            return None
        return RunLog(
            engine=self._parts.memory.engine(),
            sink=self._parts.memory.sink,
            actor=actor,
            database=database,
            target=Target("database", database),
            policy_sha256=policy_sha256,
            correlation_id=str(uuid4()),
        )


def _record(
    report: AgreementReport, policy: Policy, catalogue: dict[str, Any], before: PolicyCheckRecord | None
) -> PolicyCheckRecord:
    agreed = report.agrees
    return PolicyCheckRecord(
        database=report.database,
        checked_at=report.checked_at,
        catalogue_sha256=report.catalogue_sha256,
        catalogue=catalogue,
        findings=len(report.findings),
        agreed_at=report.checked_at if agreed else (before.agreed_at if before else None),
        policy_sha256=report.policy_sha256 if agreed else (before.policy_sha256 if before else None),
        policy=policy.model_dump(mode="json", by_alias=True)
        if agreed
        else (before.policy if before else None),
    )


def _event(log: RunLog, report: AgreementReport) -> Any:
    """What was found, by kind; never where: a table's name can be anybody's words."""
    by_code: dict[str, int] = {}
    for finding in report.findings:
        by_code[finding.code] = by_code.get(finding.code, 0) + 1
    return log.event(
        EventType.POLICY_AGREEMENT_CHECK,
        "result",
        "success" if report.agrees else "failure",
        counts={"findings": len(report.findings), "changes": len(report.changes), **by_code},
        hashes={"catalogue_sha256": report.catalogue_sha256},
    )
