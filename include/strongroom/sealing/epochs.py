"""An epoch: an age identity with a purpose and a period, and its record in the key ring.

`keys/<epoch id>.json`, signed (see `strongroom.signing`):

    {"format": "strongroom/epoch/v1", "id": "backup-20260801T020000Z-9f3a", "purpose": "backup",
     "recipient": "age1…", "created_at": "…Z", "not_after": "…Z" | null,
     "wrapped": {"provider": "local", "key": "age1…", "context": {…}, "data": "<base64>"} | null,
     "signature": {…}}

**Recovery by hand.** The wrapped data is the epoch's identity file, so with the key file and ordinary tools:

    jq -r .wrapped.data keys/$EPOCH.json | base64 -d | age -d -i local.key > epoch.key

(age asks for the passphrase if the key file has one), or with AWS KMS:

    jq -r .wrapped.data keys/$EPOCH.json | base64 -d > blob
    aws kms decrypt --key-id "$(jq -r .wrapped.key keys/$EPOCH.json)" --ciphertext-blob fileb://blob \\
        --encryption-context "$(jq -c .wrapped.context keys/$EPOCH.json)" \\
        --query Plaintext --output text | base64 -d > epoch.key

and then `age -d -i epoch.key base.tar.zst.age | zstd -d | tar -x`. An escrow's identity is used the same way.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from strongroom.canonical import JsonObject
from strongroom.clock import parse_timestamp, timestamp
from strongroom.errors import InputError
from strongroom.sealing.errors import KeyRecordError, KeyTextError
from strongroom.sealing.keytext import parse_recipient
from strongroom.sealing.providers import WrappedKey

FORMAT = "strongroom/epoch/v1"
ESCROW = "escrow"
BACKUP = "backup"
_PURPOSE = re.compile(r"[a-z][a-z0-9_-]{0,39}")


@dataclass(frozen=True)
class Epoch:
    """A key with a purpose and a period."""

    id: str
    purpose: str
    """What it seals: `backup`, or `escrow` for a key whose private half is on no machine here."""

    recipient: str
    """The public half, as text."""

    created_at: datetime
    not_after: datetime | None
    """Until when it may seal; it opens what it sealed for ever. None: no end."""

    wrapped: WrappedKey | None
    """The private half, wrapped; None for escrow, and once it was destroyed."""

    destroyed_at: datetime | None = None
    """When the private half was destroyed: whatever only it opened is unreadable since."""

    def may_seal(self, now: datetime) -> bool:
        """Whether its period has not ended."""
        return self.destroyed_at is None and (self.not_after is None or now < self.not_after)


def check_purpose(purpose: str) -> None:
    """Check that a purpose can stand in an epoch's id.

    Raises:
        InputError: it cannot.
    """
    if not _PURPOSE.fullmatch(purpose):
        raise InputError(
            f"{purpose!r} cannot be an epoch's purpose.", hint="Use lower-case letters, digits, _ and -."
        )


def wrapping_context(epoch_id: str, purpose: str, recipient: str) -> dict[str, str]:
    """What an epoch's private half is bound to when it is wrapped."""
    digest = hashlib.sha256(recipient.encode()).hexdigest()
    return {"format": FORMAT, "epoch": epoch_id, "purpose": purpose, "recipient_sha256": digest}


def to_document(epoch: Epoch) -> JsonObject:
    """The epoch's record, not yet signed. `destroyed_at` stands in it only once there is such a moment."""
    destroyed = {"destroyed_at": timestamp(epoch.destroyed_at)} if epoch.destroyed_at else {}
    return {
        "format": FORMAT,
        "id": epoch.id,
        "purpose": epoch.purpose,
        "recipient": epoch.recipient,
        "created_at": timestamp(epoch.created_at),
        "not_after": timestamp(epoch.not_after) if epoch.not_after else None,
        "wrapped": _wrapped_document(epoch.wrapped) if epoch.wrapped else None,
        **destroyed,
    }


def from_document(document: Mapping[str, Any], what: str) -> Epoch:
    """The epoch of a record whose signature was checked.

    Raises:
        KeyRecordError: it is no record of this format.
    """
    if document.get("format") != FORMAT:
        raise KeyRecordError(f"{what} is no epoch record of the format {FORMAT}.")
    try:
        not_after, wrapped = document["not_after"], document["wrapped"]
        destroyed = document.get("destroyed_at")
        parse_recipient(document["recipient"])
        return Epoch(
            id=document["id"],
            purpose=document["purpose"],
            recipient=document["recipient"],
            created_at=parse_timestamp(document["created_at"]),
            not_after=parse_timestamp(not_after) if not_after else None,
            wrapped=_wrapped_from(wrapped) if wrapped else None,
            destroyed_at=parse_timestamp(destroyed) if destroyed else None,
        )
    except (KeyError, TypeError, ValueError, AttributeError, KeyTextError) as error:
        raise KeyRecordError(f"{what} does not keep to the format {FORMAT}: {error}") from error


def _wrapped_document(wrapped: WrappedKey) -> JsonObject:
    return {
        "provider": wrapped.provider,
        "key": wrapped.key,
        "context": dict(wrapped.context),
        "data": base64.b64encode(wrapped.data).decode(),
    }


def _wrapped_from(document: Mapping[str, Any]) -> WrappedKey:
    data = base64.b64decode(document["data"], validate=True)
    return WrappedKey(document["provider"], document["key"], dict(document["context"]), data)
