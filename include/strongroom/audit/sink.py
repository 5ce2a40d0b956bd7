"""Where events go: the outbox. An event is inserted in the transaction of the change that it records.

So no change commits without its event, and no event of a change that was rolled back appears. People appear
as a commitment, HMAC-SHA256 under a random salt of their own; the salts stand in `audit_person`, and once one
is deleted nobody can tell whose entries they were, while every proof in the log still holds.
"""

from __future__ import annotations

import hmac
import secrets
from abc import ABC, abstractmethod
from uuid import UUID

from sqlalchemy import Connection, text

from strongroom.access import Actor, ActorKind
from strongroom.audit.events import Event, event_bytes
from strongroom.audit.identifiers import uuid7
from strongroom.clock import Clock, SystemClock

_COMMITMENT_DOMAIN = b"strongroom/audit-person/v1\n"
_SALT_BYTES = 32

_ENQUEUE = text("INSERT INTO audit_queue (entry, event_id) VALUES (:entry, :event_id)")
_ADD_PERSON = text(
    "INSERT INTO audit_person (name, salt) VALUES (:name, :salt) ON CONFLICT (name) DO NOTHING"
)
_PERSON_SALT = text("SELECT salt FROM audit_person WHERE name = :name")


class AuditSink(ABC):
    """Takes events."""

    @abstractmethod
    def emit(self, connection: Connection, event: Event) -> UUID:
        """Record the event when, and only when, the connection's transaction commits.

        Returns:
            The event's identifier, by which it can be proven once the log is sealed.

        Raises:
            EventRefusedError: something in it does not belong in the log.
            EventTooLargeError: it is longer than an entry may be.
        """


class QueueSink(AuditSink):
    """Puts events in the control database's `audit_queue`, from which `AuditLog.seal` moves them."""

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()

    def emit(self, connection: Connection, event: Event) -> UUID:
        now = self._clock.now()
        event_id = uuid7(now)
        entry = event_bytes(event, event_id, now, _actor_name(connection, event.actor))
        connection.execute(_ENQUEUE, {"entry": entry, "event_id": event_id})
        return event_id


def person_commitment(salt: bytes, name: str) -> str:
    """How a person appears in the log: `person:` and 128 bits of HMAC-SHA256 in hexadecimal."""
    return f"person:{hmac.digest(salt, _COMMITMENT_DOMAIN + name.encode(), 'sha256')[:16].hex()}"


def _actor_name(connection: Connection, actor: Actor) -> str:
    if actor.kind is ActorKind.TASK:
        return actor.name
    salt = connection.execute(_PERSON_SALT, {"name": actor.name}).scalar()
    if salt is None:
        connection.execute(_ADD_PERSON, {"name": actor.name, "salt": secrets.token_bytes(_SALT_BYTES)})
        salt = connection.execute(_PERSON_SALT, {"name": actor.name}).scalar_one()
    return person_commitment(bytes(salt), actor.name)
