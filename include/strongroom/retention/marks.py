"""What purges remember in the bucket: what is marked for deletion, when they last ran, what they are deleting now.

    tombstones/<database>/<place>.json
    {"format": "strongroom/retention-marks/v1", "database": "shop", "place": "store",
     "marks": [{"item": ..., "marked_at": ..., "delete_after": ..., "plan_sha256": ...}, ...],
     "last_purge": {"finished_at": ..., "policy_sha256": ...} | null, "signature": {...}}

    uses/<database>/purge.json
    {"format": "strongroom/deletion/v1", "database": "shop", "place": "store", "plan_sha256": ...,
     "items": [{"id": ..., "kind": ..., "keys": [...], "log": [<system id>, <end>] | null}, ...], "signature": {...}}

The second is there only while something is being deleted; a purge that was killed is finished from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from strongroom.canonical import JsonObject, canonical_bytes, parse_object
from strongroom.clock import parse_timestamp, timestamp
from strongroom.errors import IntegrityError
from strongroom.lifetimes import Item, Kind
from strongroom.lifetimes.uses import DELETION_FORMAT, deletion_key
from strongroom.retention.facts import LastPurge, Mark
from strongroom.signing import SignerKey, VerifierKey, verify_json
from strongroom.storage import Condition, ObjectNotFoundError, ObjectStore

MARKS_FORMAT = "strongroom/retention-marks/v1"
_MAX_BYTES = 256 << 20


@dataclass(frozen=True)
class MarkBook:
    """What earlier purges of one database in one place left to be known."""

    marks: Mapping[str, Mark] = field(default_factory=dict)
    last_purge: LastPurge | None = None


@dataclass(frozen=True)
class DeletedItem:
    """An item that is being deleted: the document that makes it count is the first of its keys."""

    id: str
    kind: Kind
    keys: tuple[str, ...]
    log: tuple[str, int] | None = None
    """The cluster and the end of the log in it, for who reads log."""

    @classmethod
    def of(cls, item: Item, keys: tuple[str, ...]) -> DeletedItem:
        """The item with those of its keys that are deleted."""
        log = item.log if item.kind is Kind.WAL else None
        return cls(item.id, item.kind, keys, (log.system_identifier, log.end) if log else None)


@dataclass(frozen=True)
class Deletion:
    """What is being deleted now."""

    place: str
    plan_sha256: str
    items: tuple[DeletedItem, ...]


class MarkStore:
    """Reads and writes both documents, in the store itself also for its copies.

    Args:
        store: the store.
        database: whose.
        trusted: the key that they must be signed with.
    """

    def __init__(self, store: ObjectStore, database: str, trusted: VerifierKey) -> None:
        self._store, self._database, self._trusted = store, database, trusted

    def book(self, place: str) -> MarkBook:
        """What is marked in a place; nothing before the first purge.

        Raises:
            IntegrityError: the document is not what was written.
            StoreUnavailableError: the bucket does not answer.
        """
        key = marks_key(self._database, place)
        document = self._read(key, MARKS_FORMAT)
        if document is None:
            return MarkBook()
        try:
            marks = [_mark(one) for one in document["marks"]]
            last = document["last_purge"]
            purge = LastPurge(parse_timestamp(last["finished_at"]), last["policy_sha256"]) if last else None
        except (KeyError, TypeError, ValueError) as error:
            raise IntegrityError(f"{key} lacks a member or holds a wrong one: {error}") from error
        return MarkBook({mark.item_id: mark for mark in marks}, purge)

    def keep(self, place: str, book: MarkBook, signer: SignerKey) -> None:
        """Write the book in place of what is there."""
        last = book.last_purge
        document = {
            "format": MARKS_FORMAT,
            "database": self._database,
            "place": place,
            "marks": [_mark_document(book.marks[name]) for name in sorted(book.marks)],
            "last_purge": last
            and {"finished_at": timestamp(last.finished_at), "policy_sha256": last.policy_sha256},
        }
        self._write(marks_key(self._database, place), document, signer)

    def deletion(self) -> Deletion | None:
        """What a purge is deleting, or was when it was killed."""
        key = deletion_key(self._database)
        document = self._read(key, DELETION_FORMAT)
        if document is None:
            return None
        try:
            items = tuple(_deleted(one) for one in document["items"])
            return Deletion(document["place"], document["plan_sha256"], items)
        except (KeyError, TypeError, ValueError) as error:
            raise IntegrityError(f"{key} lacks a member or holds a wrong one: {error}") from error

    def announce(self, deletion: Deletion, signer: SignerKey) -> None:
        """Say what is going to be deleted."""
        document = {
            "format": DELETION_FORMAT,
            "database": self._database,
            "place": deletion.place,
            "plan_sha256": deletion.plan_sha256,
            "items": [
                {
                    "id": one.id,
                    "kind": str(one.kind),
                    "keys": list(one.keys),
                    "log": [one.log[0], str(one.log[1])] if one.log else None,
                }
                for one in deletion.items
            ],
        }
        self._write(deletion_key(self._database), document, signer)

    def conclude(self) -> None:
        """Say that nothing is being deleted any more."""
        key = deletion_key(self._database)
        for version in [info for info in self._store.list_versions(key) if info.key == key]:
            self._store.delete_version(key, version.version_id)

    def _read(self, key: str, format_name: str) -> JsonObject | None:
        try:
            data = self._store.get_bytes(key, max_bytes=_MAX_BYTES)
        except ObjectNotFoundError:
            return None
        document = verify_json(parse_object(data, key), self._trusted, key)
        if (document.get("format"), document.get("database")) != (format_name, self._database):
            raise IntegrityError(
                f"{key} is not of the format {format_name}, or of another database.",
                hint="A later version of Strongroom may have written it: purge with that one.",
            )
        return document

    def _write(self, key: str, document: Mapping[str, Any], signer: SignerKey) -> None:
        data = canonical_bytes(signer.sign_json(dict(document))) + b"\n"
        self._store.put_bytes(key, data, condition=Condition.OVERWRITE)


def marks_key(database: str, place: str) -> str:
    """Where the marks of a place lie."""
    return f"tombstones/{database}/{place}.json"


def _mark(document: JsonObject) -> Mark:
    return Mark(
        document["item"],
        parse_timestamp(document["marked_at"]),
        parse_timestamp(document["delete_after"]),
        document["plan_sha256"],
    )


def _mark_document(mark: Mark) -> JsonObject:
    return {
        "item": mark.item_id,
        "marked_at": timestamp(mark.marked_at),
        "delete_after": timestamp(mark.delete_after),
        "plan_sha256": mark.plan_sha256,
    }


def _deleted(document: JsonObject) -> DeletedItem:
    log = document["log"]
    return DeletedItem(
        document["id"],
        Kind(document["kind"]),
        tuple(str(key) for key in document["keys"]),
        (str(log[0]), int(log[1])) if log else None,
    )
