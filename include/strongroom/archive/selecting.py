"""Which parts of an archive a question is about: those that count, and of those the ones that hold a person."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from strongroom.archive.errors import ArchiveQueryError
from strongroom.archive.manifest import PartManifest, PartTable
from strongroom.archive.persons import PersonIndex, PersonValue, normalised
from strongroom.archive.standing import Part, parts_in_force, read_marks, read_parts
from strongroom.policy import Policy
from strongroom.postgres import Connection, connect, server_errors
from strongroom.signing import VerifierKey
from strongroom.storage import ObjectStore
from strongroom.vault import ObjectReader, StoredObject

_APPLICATION = "strongroom archive"


@dataclass(frozen=True)
class Person:
    """A person as a question names one."""

    subject: str
    """The kind of person, as the policy names it."""
    identifier: str
    """The identifier's name in the policy."""
    value: str = field(repr=False)


def person_value(policy: Policy, person: Person) -> PersonValue:
    """The person as indexes know them.

    Raises:
        ArchiveQueryError: the policy has no such subject or identifier.
    """
    subject = policy.subjects.get(person.subject)
    identifier = subject.identifiers.get(person.identifier) if subject else None
    if identifier is None:
        known = [f"{name}:{key}" for name, item in policy.subjects.items() for key in item.identifiers]
        raise ArchiveQueryError(
            f"The policy of {policy.database} knows no person by {person.subject}:{person.identifier}.",
            hint=f"There are: {', '.join(known) or 'none'}.",
        )
    return person.subject, person.identifier, normalised(person.value, identifier.normalise)


@contextmanager
def snapshot(conninfo: str) -> Iterator[Connection]:
    """A connection that sees one moment of a source database, and changes nothing."""
    with connect(conninfo, application_name=_APPLICATION) as connection:
        with server_errors("The source database"):
            connection.execute("BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        yield connection


def parts_that_count(
    store: ObjectStore, trusted: VerifierKey, database: str, source: Connection | None
) -> list[Part]:
    """The parts whose rows are in the archive and not in the source, oldest first.

    Args:
        store: the bucket.
        trusted: the key that must have signed their manifests.
        database: by its name in the policy.
        source: of `snapshot`; without it, the parts that have a receipt.

    Raises:
        IntegrityError: a manifest, receipt or mark is not what it must be.
        TransientError: the listing failed.
    """
    marks = read_marks(source) if source is not None else None
    return parts_in_force(read_parts(store, trusted, database), marks)


def epochs_of(parts: Iterable[Part]) -> list[str]:
    """The key epochs that the parts are sealed to."""
    return sorted({epoch for part in parts for item in part.manifest.objects() for epoch in item.epoch_ids})


def holding(parts: Iterable[Part], person: PersonValue, reader: ObjectReader) -> list[Part]:
    """The parts that have rows of a person, as their indexes say.

    Raises:
        IntegrityError: an index is not what was recorded.
    """
    return [part for part in parts if _holds(part.manifest, person, reader)]


def _holds(manifest: PartManifest, person: PersonValue, reader: ObjectReader) -> bool:
    stored = manifest.stored_persons()
    if stored is None:
        return False
    with reader.open(stored) as opened:
        content = b"".join(bytes(piece) for piece in opened)
    return PersonIndex(content, stored.key).holds(*person)


def declared_tables(parts: Iterable[Part]) -> dict[str, PartTable]:
    """The tables that parts hold rows of, as the newest tells of each."""
    return {table.table: table for part in parts for table in part.manifest.tables}


def files_of(parts: Iterable[Part], table: str) -> list[StoredObject]:
    """The sealed files with rows of a table, oldest first."""
    found = (part.manifest.stored_rows(table) for part in parts)
    return [file for file in found if file is not None]
