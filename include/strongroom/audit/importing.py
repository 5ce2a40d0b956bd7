"""Taking journals into the log: read strictly, believed only with a known signature, each event once."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

from sqlalchemy import text

from strongroom.access import Actor
from strongroom.audit.entries import parse_entry
from strongroom.audit.errors import JournalError, JournalNotTrustedError
from strongroom.audit.events import Event, Target
from strongroom.audit.journal import FIRST_PREVIOUS, JOURNAL_FORMAT, JOURNAL_PREFIX, PERSON_SUFFIX
from strongroom.audit.sink import AuditSink, person_commitment
from strongroom.audit.taxonomy import EventType
from strongroom.canonical import JsonObject, canonical_bytes, parse_object
from strongroom.errors import InputError
from strongroom.signing import VerifierKey, verify_json

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

    from strongroom.storage.interface import ObjectStore

_MAX_BYTES = 256 << 20
_LOCK = text("SELECT pg_advisory_xact_lock(hashtext('strongroom journal'))")
_KNOWN = (
    text("SELECT event_id FROM audit_queue WHERE event_id = ANY(:ids)"),
    text("SELECT event_id FROM audit_entry WHERE event_id = ANY(:ids)"),
)
"""In this order: an event that the sealer moves in between is found at its new place."""
_ENQUEUE = text("INSERT INTO audit_queue (entry, event_id) VALUES (:entry, :event_id)")
_ADD_PERSON = text(
    "INSERT INTO audit_person (name, salt) VALUES (:name, :salt) ON CONFLICT (name) DO NOTHING"
)


@dataclass(frozen=True)
class JournalContent:
    """A journal whose signatures hold and whose lines follow one another."""

    id: str
    signer: VerifierKey
    entries: tuple[tuple[UUID, bytes], ...]
    """The events as they will stand in the log."""
    sha256: str
    """Of its last line: it stands for all of them."""
    torn: bool
    """Whether a last line was begun and not finished: the machine stopped while writing it."""
    unfinished: int
    """Attempts of which nothing says how they ended."""


@dataclass(frozen=True)
class JournalImport:
    """What came of one journal."""

    journal: str
    events: int
    new: int
    """How many of them the log did not have."""
    unfinished: int
    torn: bool


def read_journal(
    data: bytes, installation: VerifierKey, trusted: Sequence[VerifierKey], what: str
) -> JournalContent:
    """A journal, once everything about it was checked.

    Args:
        data: its lines.
        installation: whose journal it must be.
        trusted: the keys that may have signed it, the installation's own besides.
        what: its name, for the error.

    Raises:
        JournalNotTrustedError: another key signed it; the hint says which.
        JournalError: lines were changed, left out or moved, or it is another installation's.
        SignatureError: a signature does not hold.
        EntryError: an event is malformed.
    """
    *lines, rest = data.split(b"\n")
    if not lines:
        raise JournalError(f"{what} holds no whole line.", hint="Name a file <id>.jsonl of a journal.")
    head = parse_object(lines[0], f"Line 1 of {what}")
    signer = _signer(head, [installation, *trusted], what)
    entries, previous = [], FIRST_PREVIOUS
    for index, line in enumerate(lines):
        name = f"Line {index + 1} of {what}"
        body = verify_json(parse_object(line, name), signer, name)
        expected = {"format": JOURNAL_FORMAT, "journal": head.get("journal"), "index": index}
        if any(body.get(member) != value for member, value in expected.items()):
            raise JournalError(f"{name} does not belong there.", hint="Lines were moved, or journals mixed.")
        if body.get("previous") != previous:
            raise JournalError(f"{name} does not follow the line before it: one was left out or changed.")
        if index:
            entry = canonical_bytes(body.get("entry") or {})
            entries.append((parse_entry(entry, name)[0], entry))
        previous = hashlib.sha256(line).hexdigest()
    if head.get("installation") != str(installation):
        raise JournalError(f"{what} is another installation's.", hint=f"It names {head.get('installation')}.")
    return JournalContent(
        str(UUID(str(head["journal"]))), signer, tuple(entries), previous, bool(rest), _unfinished(entries)
    )


def _signer(head: JsonObject, known: Sequence[VerifierKey], what: str) -> VerifierKey:
    signature = head.get("signature")
    named = str(signature.get("key")) if isinstance(signature, dict) else ""
    for key in known:
        if named == str(key):
            return key
    raise JournalNotTrustedError(
        f"{what} is signed with a key that is not known here.",
        hint=f"Where the machine that wrote it printed the same key, add --trust '{named}'."
        if named
        else "It carries no signature.",
    )


def _unfinished(entries: Sequence[tuple[UUID, bytes]]) -> int:
    open_ends: Counter[tuple[str, str]] = Counter()
    for _, entry in entries:
        document = json.loads(entry)
        name = (document["type"], document["data"].get("correlation_id") or document["subject"])
        if document["data"]["phase"] == "attempt":
            open_ends[name] += 1
        elif open_ends[name] > 0:
            open_ends[name] -= 1
    return open_ends.total()


def journals_in(store: ObjectStore) -> Iterator[tuple[str, bytes]]:
    """The journals that a store holds, each with its lines in order."""
    parts: dict[str, list[str]] = {}
    for info in store.list(JOURNAL_PREFIX):
        parts.setdefault(info.key.split("/")[1], []).append(info.key)
    for journal, keys in sorted(parts.items()):
        yield journal, b"".join(store.get_bytes(key, max_bytes=_MAX_BYTES) for key in sorted(keys))


def people_of(path: Path) -> dict[str, bytes]:
    """Whose commitments stand in a journal: the salts by name, from the file beside it; none where it is gone.

    Raises:
        InputError: the file cannot be read.
    """
    beside = path.with_suffix(PERSON_SUFFIX)
    try:
        return {str(name): bytes.fromhex(salt) for name, salt in json.loads(beside.read_text()).items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise InputError(f"{beside} cannot be read.", hint="Without it the import works too.") from error


def import_journal(
    engine: Engine, sink: AuditSink, actor: Actor, content: JournalContent, people: dict[str, bytes]
) -> JournalImport:
    """Queue a journal's events for the log, those that it does not have. Doing it again adds nothing.

    Args:
        actor: in whose name.
        people: salts by name; kept for a person whom the control database does not know yet.
    """
    with engine.begin() as connection:
        connection.execute(_LOCK)
        known = _known(connection, [event_id for event_id, _ in content.entries])
        new = [(event_id, entry) for event_id, entry in content.entries if event_id not in known]
        for event_id, entry in new:
            connection.execute(_ENQUEUE, {"entry": entry, "event_id": event_id})
        if new:
            _keep_people(connection, content, people)
            sink.emit(connection, _imported(actor, content, len(new)))
    return JournalImport(content.id, len(content.entries), len(new), content.unfinished, content.torn)


def _known(connection: Connection, ids: list[UUID]) -> set[Any]:
    return {row.event_id for query in _KNOWN for row in connection.execute(query, {"ids": ids})}


def _keep_people(connection: Connection, content: JournalContent, people: dict[str, bytes]) -> None:
    for name, salt in people.items():
        commitment = person_commitment(salt, name).encode()
        if any(commitment in entry for _, entry in content.entries):
            connection.execute(_ADD_PERSON, {"name": name, "salt": salt})


def _imported(actor: Actor, content: JournalContent, new: int) -> Event:
    return Event(
        type=EventType.AUDIT_JOURNAL_IMPORT,
        phase="result",
        outcome="partial" if content.unfinished or content.torn else "success",
        actor=actor,
        target=Target("journal", f"{JOURNAL_PREFIX}{content.id}"),
        counts={"events": len(content.entries), "new": new, "unfinished": content.unfinished},
        hashes={"journal_sha256": content.sha256, "signer_public": content.signer.public.hex()},
    )
