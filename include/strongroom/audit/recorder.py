"""Where an event goes that stands alone, in no transaction of anything else's."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING
from uuid import UUID

from strongroom.audit.events import Event
from strongroom.audit.sink import AuditSink

if TYPE_CHECKING:
    from sqlalchemy import Engine


class EventRecorder(ABC):
    """Records single events."""

    @abstractmethod
    def record(self, event: Event) -> UUID:
        """Record an event; once this returns it is not lost any more.

        Returns:
            The event's identifier.

        Raises:
            EventRefusedError: something in it does not belong in the log.
            TransientError: the control database does not answer.
            JournalUnwritableError: there is no control database, and the journal cannot be written.
        """


class QueueRecorder(EventRecorder):
    """Records each event in the control database, in a transaction of its own.

    Args:
        engine: gives the control database, which is opened when the first event is recorded.
        sink: takes the events.
    """

    def __init__(self, engine: Callable[[], Engine], sink: AuditSink) -> None:
        self._engine, self._sink = engine, sink

    def record(self, event: Event) -> UUID:
        with self._engine().begin() as connection:
            return self._sink.emit(connection, event)
