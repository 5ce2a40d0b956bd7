"""Holds in the bucket, which is the truth: `holds/<hold id>.json`, signed, written once and again when released.

    {"format": "strongroom/hold/v1", "id": "hold-20261124T020000Z-1f3a",
     "scope": {"kind": "table", "database": "shop", "table": "public.orders"},
     "reason": "case-2026-114", "placed_at": "...Z", "released_at": "...Z" | null, "signature": {...}}

It names no person: who placed and who released it stands in the audit log, as commitments.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from strongroom.canonical import JsonObject, canonical_bytes, canonical_sha256, parse_object
from strongroom.catalog import HoldRecord, HoldRepository
from strongroom.clock import parse_timestamp, timestamp
from strongroom.errors import InputError, IntegrityError
from strongroom.retention.holds import Hold, HoldScope, ScopeKind
from strongroom.signing import SignerKey, VerifierKey, verify_json
from strongroom.storage import Condition, ObjectNotFoundError, ObjectStore

if TYPE_CHECKING:
    from sqlalchemy import Engine

FORMAT = "strongroom/hold/v1"
PREFIX = "holds/"
_MAX_BYTES = 64 * 1024


class HoldRecordError(IntegrityError):
    """A hold's record in the bucket is not what was written."""


class BucketHolds:
    """The holds in one store.

    Args:
        store: where `holds/` is.
        verifier: the key that must have signed them.
    """

    def __init__(self, store: ObjectStore, verifier: VerifierKey) -> None:
        self._store = store
        self._verifier = verifier

    def all(self) -> Iterator[Hold]:
        """Every hold that was ever placed, sorted by id.

        Raises:
            SignatureError: a record is unsigned, altered or signed by another key.
            HoldRecordError: a record is malformed or lies elsewhere.
            TransientError: the store does not answer.
        """
        for info in self._store.list(PREFIX):
            if info.key.endswith(".json"):
                yield self._read(info.key)

    def find(self, hold_id: str) -> Hold | None:
        """One hold, or None where the bucket has no record of it. Raises what `all` raises."""
        try:
            return self._read(key_of(hold_id))
        except ObjectNotFoundError:
            return None

    def write(self, hold: Hold, signer: SignerKey) -> None:
        """Write a hold's record: a new one, or its release in place of what is there.

        Raises:
            PreconditionFailedError: somebody else changed it at the same time.
        """
        key = key_of(hold.id)
        data = canonical_bytes(signer.sign_json(document(hold))) + b"\n"
        try:
            condition = Condition.if_match(self._store.head(key).etag)
        except ObjectNotFoundError:
            condition = Condition.IF_ABSENT
        self._store.put_bytes(key, data, condition=condition)

    def copy_to(self, copy: ObjectStore) -> None:
        """Write the records that another store lacks, or has in an earlier state, there too."""
        there = {info.key: info for info in copy.list(PREFIX)}
        for hold in self.all():
            key = key_of(hold.id)
            data = self._store.get_bytes(key, max_bytes=_MAX_BYTES)
            if key not in there:
                copy.put_bytes(key, data)
            elif copy.get_bytes(key, max_bytes=_MAX_BYTES) != data:
                copy.put_bytes(key, data, condition=Condition.if_match(copy.head(key).etag))

    def _read(self, key: str) -> Hold:
        return read_hold(self._store.get_bytes(key, max_bytes=_MAX_BYTES), key, self._verifier)


def all_holds(engine: Engine, bucket: BucketHolds) -> list[Hold]:
    """Every hold, oldest first: what the bucket says, and what only the index still knows.

    A record that somebody removed from the bucket leaves its hold standing: the index knows it.

    Raises:
        IntegrityError: a record cannot be believed. Nothing may be deleted until somebody has looked.
        TransientError: the store or the control database does not answer.
    """
    with engine.connect() as connection:
        known = {record.hold_id: from_record(record) for record in HoldRepository().list(connection)}
    for hold in bucket.all():
        indexed = known.get(hold.id)
        known[hold.id] = replace(hold, placed_by=indexed.placed_by if indexed else None)
    return sorted(known.values(), key=lambda hold: (hold.placed_at, hold.id))


def key_of(hold_id: str) -> str:
    """Where a hold's record lies."""
    return f"{PREFIX}{hold_id}.json"


def read_hold(data: bytes, key: str, verifier: VerifierKey) -> Hold:
    """The hold in a stored record.

    Raises:
        SignatureError: unsigned, altered or signed by another key.
        HoldRecordError: malformed, or it lies where it does not belong.
    """
    what = f"The hold {key}"
    body = verify_json(parse_object(data, what), verifier, what)
    if body.get("format") != FORMAT:
        raise HoldRecordError(
            f"{what} is not of the format {FORMAT}.", hint="A later version may have written it."
        )
    try:
        hold = _hold(body)
    except (KeyError, TypeError, ValueError, InputError) as error:
        raise HoldRecordError(f"{what} does not keep to the format {FORMAT}: {error}") from error
    if key_of(hold.id) != key:
        raise HoldRecordError(f"{what} is the record of another hold, {hold.id}.")
    return hold


def document(hold: Hold) -> JsonObject:
    """The hold as a JSON object, not signed yet; without the person who placed it."""
    released = hold.released_at
    return {
        "format": FORMAT,
        "id": hold.id,
        "scope": scope_document(hold.scope),
        "reason": hold.reason,
        "placed_at": timestamp(hold.placed_at),
        "released_at": timestamp(released) if released else None,
    }


def scope_document(scope: HoldScope) -> JsonObject:
    """What a hold is on, as a JSON object."""
    members = {
        "kind": str(scope.kind),
        "database": scope.database,
        "table": scope.table,
        "person": scope.person,
        "since": timestamp(scope.since) if scope.since else None,
        "until": timestamp(scope.until) if scope.until else None,
        "backup_id": scope.backup_id,
    }
    return {name: value for name, value in members.items() if value is not None}


def release_sha256(hold: Hold) -> str:
    """The hash that a second person approves the release of this hold by."""
    return canonical_sha256({"format": "strongroom/hold-release/v1", "hold": document(hold)}).hex()


def to_record(hold: Hold) -> HoldRecord:
    """The hold as the index keeps it."""
    scope = hold.scope
    return HoldRecord(
        hold_id=hold.id,
        kind=str(scope.kind),
        database=scope.database,
        table=scope.table,
        person=scope.person,
        since=scope.since,
        until=scope.until,
        backup_id=scope.backup_id,
        reason=hold.reason,
        placed_by=hold.placed_by,
        placed_at=hold.placed_at,
        released_at=hold.released_at,
    )


def from_record(record: HoldRecord) -> Hold:
    """The hold that the index knows."""
    scope = HoldScope(
        kind=ScopeKind(record.kind),
        database=record.database,
        table=record.table,
        person=record.person,
        since=record.since,
        until=record.until,
        backup_id=record.backup_id,
    )
    return Hold(record.hold_id, scope, record.reason, record.placed_by, record.placed_at, record.released_at)


def _hold(body: Mapping[str, Any]) -> Hold:
    scope = dict(body["scope"])
    moments = {name: parse_timestamp(scope[name]) for name in ("since", "until") if name in scope}
    released = body["released_at"]
    return Hold(
        id=body["id"],
        scope=HoldScope(**{**scope, **moments, "kind": ScopeKind(scope["kind"])}),
        reason=body["reason"],
        placed_by=None,
        placed_at=parse_timestamp(body["placed_at"]),
        released_at=parse_timestamp(released) if released else None,
    )
