"""An audit event: a CloudEvents 1.0 envelope around a record with OCSF class numbers, as canonical JSON.

    {"specversion": "1.0", "id": <uuid7>, "source": "strongroom/<host>", "type": "backup:run:execute",
     "time": <RFC 3339>, "subject": <target uri>, "datacontenttype": "application/json",
     "dataschema": "urn:strongroom:audit-event:v1",
     "data": {"phase": "attempt" | "result", "outcome": ..., "ocsf": {...}, "actor": {...}, "target": {...},
              "database": ..., "counts": {...}, "hashes": {...}, "policy": {...}, "details": {...},
              "error_class": ..., "correlation_id": ..., "causation_id": ..., "software": {...}}}

Members without a value are left out. At most 32 KiB in RFC 8785 form; these bytes are the log's leaf.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from strongroom import __version__
from strongroom.access import Actor
from strongroom.audit.errors import EventRefusedError, EventTooLargeError
from strongroom.audit.reference import (
    checked_counts,
    checked_details,
    checked_hashes,
    checked_reference,
)
from strongroom.audit.taxonomy import OCSF_CLASSES, EventType
from strongroom.canonical import JsonObject, canonical_bytes
from strongroom.clock import timestamp

MAX_EVENT_BYTES = 32 * 1024
"""The longest entry, in bytes of canonical JSON."""

DATA_SCHEMA = "urn:strongroom:audit-event:v1"
"""The name of this form of event."""

Phase = Literal["attempt", "result"]
Outcome = Literal["success", "failure", "denied", "partial"]

_STATUS = {"success": 1, "failure": 2, "denied": 2, "partial": 99, None: 0}
_SEVERITY = {"success": 1, "failure": 4, "denied": 3, "partial": 3, None: 1}


@dataclass(frozen=True)
class Target:
    """What was acted on.

    Args:
        kind: database, object, backup, proof, key, policy, log, scratch...
        uri: its name: an object's key or URL, a database, `key/<epoch>`.
        version_id: the object's version, where the store has versions.
    """

    kind: str
    uri: str
    version_id: str | None = None
    size_bytes: int | None = None


@dataclass(frozen=True)
class PolicyReference:
    """The rule that caused it: the policy file's hash, and where needed the rule in it."""

    sha256: str
    rule_id: str | None = None
    legal_basis: str | None = None


@dataclass(frozen=True)
class Event:
    """Something that was tried or happened. `AuditSink.emit` gives it identity and time.

    Args:
        type: one of `EventType`.
        phase: `attempt` before a step acts, `result` after.
        outcome: how it ended; none for an attempt.
        counts: whole numbers by name (rows, bytes, objects).
        hashes: lower-case hexadecimal by name.
        correlation_id: what all events of one run share: the backup's, the request's identifier.
        causation_id: the event that led to this one, such as a result's attempt.
        details: numbers, truth values and short references; see `strongroom.audit.reference`.
        error_class: the exception's class name. Never its message.

    Raises:
        EventRefusedError: the type is unknown, an attempt has an outcome or a result has none.
    """

    type: str
    phase: Phase
    actor: Actor
    target: Target
    outcome: Outcome | None = None
    database: str | None = None
    counts: Mapping[str, int] = field(default_factory=dict)
    hashes: Mapping[str, str] = field(default_factory=dict)
    policy: PolicyReference | None = None
    correlation_id: str | None = None
    causation_id: UUID | None = None
    details: Mapping[str, Any] = field(default_factory=dict)
    error_class: str | None = None

    def __post_init__(self) -> None:
        if self.type not in EventType.__members__.values():
            raise EventRefusedError(
                f"The audit log knows no event of the type {self.type!r}.",
                hint="The types stand in strongroom.audit.EventType.",
            )
        if (self.phase == "result") != (self.outcome is not None):
            raise EventRefusedError(f"A result needs an outcome and an attempt has none ({self.type}).")


def event_bytes(event: Event, event_id: UUID, time: datetime, actor_name: str) -> bytes:
    """The event's canonical bytes, which become the log's entry.

    Args:
        actor_name: how the actor appears: its name, or a person's commitment.

    Raises:
        EventRefusedError: something in it is not a number, a truth value or a short reference.
        EventTooLargeError: longer than `MAX_EVENT_BYTES`.
    """
    entry = canonical_bytes(event_document(event, event_id, time, actor_name))
    if len(entry) > MAX_EVENT_BYTES:
        raise EventTooLargeError(
            f"An audit event of the type {event.type} has {len(entry)} bytes; {MAX_EVENT_BYTES} is the most.",
            hint="Store what is large as an object and give its SHA-256 in `hashes`.",
        )
    return entry


def event_document(event: Event, event_id: UUID, time: datetime, actor_name: str) -> JsonObject:
    """The event as a CloudEvents object."""
    return {
        "specversion": "1.0",
        "id": str(event_id),
        "source": f"strongroom/{checked_reference(event.actor.host, 'actor.host')}",
        "type": str(event.type),
        "time": timestamp(time),
        "subject": checked_reference(event.target.uri, "target.uri"),
        "datacontenttype": "application/json",
        "dataschema": DATA_SCHEMA,
        "data": _without_none(_data(event, actor_name)),
    }


def _data(event: Event, actor_name: str) -> JsonObject:
    return {
        "phase": event.phase,
        "outcome": event.outcome,
        "ocsf": _ocsf(event),
        "actor": _actor(event.actor, actor_name),
        "target": _target(event.target),
        "database": _optional(event.database, "database"),
        "counts": checked_counts(event.counts) or None,
        "hashes": checked_hashes(event.hashes) or None,
        "policy": _policy(event.policy),
        "details": checked_details(event.details) or None,
        "error_class": _optional(event.error_class, "error_class"),
        "correlation_id": _optional(event.correlation_id, "correlation_id"),
        "causation_id": str(event.causation_id) if event.causation_id else None,
        "software": {"name": "strongroom", "version": __version__},
    }


def _ocsf(event: Event) -> JsonObject:
    ocsf = OCSF_CLASSES[EventType(event.type)]
    return {
        "category_uid": ocsf.category_uid,
        "class_uid": ocsf.class_uid,
        "activity_id": ocsf.activity_id,
        "type_uid": ocsf.type_uid,
        "severity_id": _SEVERITY[event.outcome],
        "status_id": _STATUS[event.outcome],
    }


def _actor(actor: Actor, name: str) -> JsonObject:
    run = actor.run
    return _without_none(
        {
            "kind": str(actor.kind),
            "name": checked_reference(name, "actor.name"),
            "roles": sorted(str(role) for role in actor.roles),
            "host": actor.host,
            "run": run
            and {
                "dag_id": checked_reference(run.dag_id, "run.dag_id"),
                "run_id": checked_reference(run.run_id, "run.run_id"),
                "task_id": checked_reference(run.task_id, "run.task_id"),
                "try_number": run.try_number,
                "map_index": run.map_index,
            },
        }
    )


def _target(target: Target) -> JsonObject:
    return _without_none(
        {
            "kind": checked_reference(target.kind, "target.kind"),
            "uri": target.uri,
            "version_id": _optional(target.version_id, "target.version_id"),
            "size_bytes": target.size_bytes,
        }
    )


def _policy(policy: PolicyReference | None) -> JsonObject | None:
    if policy is None:
        return None
    checked_hashes({"sha256": policy.sha256})
    return _without_none(
        {
            "sha256": policy.sha256,
            "rule_id": _optional(policy.rule_id, "policy.rule_id"),
            "legal_basis": _optional(policy.legal_basis, "policy.legal_basis"),
        }
    )


def _optional(value: str | None, where: str) -> str | None:
    return None if value is None else checked_reference(value, where)


def _without_none(document: JsonObject) -> JsonObject:
    return {name: value for name, value in document.items() if value is not None}
