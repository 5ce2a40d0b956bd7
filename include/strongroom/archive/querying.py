"""Asking an archive with SQL: sealed files, and live rows of the same moment, with nothing written to a disk."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from uuid import uuid4

from strongroom.access import Actor, Permission, require
from strongroom.archive.answering import Answer, ArchiveDatabase
from strongroom.archive.columns import table_codec
from strongroom.archive.errors import UnsupportedTypeError
from strongroom.archive.liverows import LiveRows
from strongroom.archive.manifest import archive_prefix
from strongroom.archive.selecting import (
    Person,
    declared_tables,
    epochs_of,
    files_of,
    holding,
    parts_that_count,
    person_value,
    snapshot,
)
from strongroom.archive.standing import Part, read_parts
from strongroom.audit import AuditSink, EventType, Target
from strongroom.errors import AccessDeniedError, NotFoundError
from strongroom.policy import Policy
from strongroom.postgres import Connection
from strongroom.recording import RunLog
from strongroom.signing import VerifierKey
from strongroom.storage import ObjectStore
from strongroom.vault import Vault

if TYPE_CHECKING:
    from sqlalchemy import Engine


@dataclass(frozen=True)
class ReadingParts:
    """What reading archives works with; the composition root gives it."""

    store: ObjectStore
    vault: Vault
    engine: Engine
    sink: AuditSink
    trusted: VerifierKey


@dataclass(frozen=True)
class Question:
    """What is asked of an archive."""

    sql: str = field(repr=False)
    """One SELECT in DuckDB's SQL; the tables have the names they have in the source."""
    person: Person | None = None
    """Read no other files than those with rows of this person, and those hold other people's rows too."""


@dataclass(frozen=True)
class Answered:
    """What was asked, answered."""

    answer: Answer
    parts_read: int
    """How many parts the tables were made of."""
    parts_in_all: int
    """How many the archive has."""


class ArchiveReader:
    """Lists and asks archives."""

    def __init__(self, parts: ReadingParts) -> None:
        self._parts = parts

    def parts(self, database: str, table: str | None = None) -> list[Part]:
        """The parts of a database's archive, oldest first, those included that a sweep has not finished.

        Raises:
            IntegrityError: a manifest or receipt is not what it must be.
            TransientError: the listing failed.
        """
        return read_parts(self._parts.store, self._parts.trusted, database, table)

    @contextmanager
    def query(
        self, actor: Actor, policy: Policy, question: Question, conninfo: str | None = None
    ) -> Iterator[Answered]:
        """Ask one question. The rows of the answer come while it is read, inside the block.

        Args:
            actor: who asks; needs `query_archive` and `open_object`.
            policy: of the database.
            question: what is asked.
            conninfo: of the source; with it, the tables hold archived and live rows of one moment together, and the
                policy's other tables are there too.

        Raises:
            AccessDeniedError: the actor may not; the refusal is recorded.
            ArchiveQueryError: it is not one SELECT, names what is not there, or needs too much memory.
            NoPrivateKeyError: this host holds no key that could open the files.
            IntegrityError: a file, an index or a manifest is not what it must be.
            TransientError: the bucket or the source failed; ask again.
        """
        log = self._log(actor, policy)
        self._authorise(log)
        asked = {"sql_sha256": hashlib.sha256(question.sql.encode()).hexdigest()}
        details = {"live": conninfo is not None, "of_a_person": question.person is not None}
        log.emit(EventType.ARCHIVE_ROWS_QUERY, "attempt", hashes=asked, details=details)
        try:
            with self._answered(actor, policy, question, conninfo, log.correlation_id) as answered:
                yield answered
        except BaseException as error:
            log.emit(EventType.ARCHIVE_ROWS_QUERY, "result", "failure", hashes=asked, error=error)
            raise
        counts = {"parts": answered.parts_read, "parts_in_all": answered.parts_in_all}
        log.emit(
            EventType.ARCHIVE_ROWS_QUERY, "result", "success", hashes=asked, counts=counts, details=details
        )

    @contextmanager
    def _answered(
        self, actor: Actor, policy: Policy, question: Question, conninfo: str | None, correlation_id: str
    ) -> Iterator[Answered]:
        parts = self._parts
        with ExitStack() as stack:
            source = stack.enter_context(snapshot(conninfo)) if conninfo is not None else None
            count = parts_that_count(parts.store, parts.trusted, policy.database, source)
            reader = stack.enter_context(
                parts.vault.reading(
                    actor,
                    archive_prefix(policy.database),
                    epochs_of(count),
                    database=policy.database,
                    correlation_id=correlation_id,
                )
            )
            chosen = count
            if question.person is not None:
                chosen = holding(count, person_value(policy, question.person), reader)
            database = stack.enter_context(closing(ArchiveDatabase(reader)))
            _add_tables(database, policy, count, chosen, source)
            yield Answered(database.ask(question.sql), len(chosen), len(count))

    def _log(self, actor: Actor, policy: Policy) -> RunLog:
        return RunLog(
            self._parts.engine,
            self._parts.sink,
            actor,
            policy.database,
            Target("archive", archive_prefix(policy.database)),
            policy.sha256,
            str(uuid4()),
        )

    def _authorise(self, log: RunLog) -> None:
        try:
            require(log.actor, Permission.QUERY_ARCHIVE)
        except AccessDeniedError as error:
            details = {"permission": str(Permission.QUERY_ARCHIVE)}
            log.emit(EventType.ACCESS_PERMISSION_REFUSE, "result", "denied", details=details, error=error)
            raise


def _add_tables(
    database: ArchiveDatabase,
    policy: Policy,
    count: list[Part],
    chosen: list[Part],
    source: Connection | None,
) -> None:
    """The archive's tables, and with a source the policy's others too."""
    declared = declared_tables(count)
    tables = dict.fromkeys([*declared, *(policy.tables if source is not None else ())])
    for table in tables:
        files = files_of(chosen, table)
        live = _live(source, table, table in declared) if source is not None else None
        if files or live is not None:
            database.add_rows(table, files, live)
        elif table in declared:
            database.add_nothing(declared[table])


def _live(source: Connection, table: str, archived: bool) -> LiveRows | None:
    """A table in the source; None where it is gone, or was never archived and holds what no archive can."""
    try:
        return LiveRows(source, table_codec(source, table))
    except NotFoundError:
        return None
    except UnsupportedTypeError:
        if archived:
            raise
        return None
