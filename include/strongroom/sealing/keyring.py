"""The key ring: the epochs' records in the bucket, each signed, so that nobody can slip in a recipient.

Sealing needs the records and the verifier key only. Opening needs the provider too, and nothing else here does.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING

from strongroom.canonical import parse_object
from strongroom.clock import Clock
from strongroom.errors import ConfigurationError, InputError
from strongroom.sealing.epochs import (
    BACKUP,
    ESCROW,
    Epoch,
    check_purpose,
    from_document,
    to_document,
    wrapping_context,
)
from strongroom.sealing.errors import EpochExpiredError, EpochNotFoundError, KeyRecordError
from strongroom.sealing.header import Stanza
from strongroom.sealing.keytext import parse_identities, parse_recipient
from strongroom.sealing.providers import KeyProvider
from strongroom.sealing.recipients import Identity, Recipient
from strongroom.sealing.rewraps import Rewraps
from strongroom.sealing.x25519 import X25519Identity
from strongroom.sealing.xwing import XWingIdentity, XWingRecipient
from strongroom.signing import SignerKey, VerifierKey, verify_json

if TYPE_CHECKING:
    from strongroom.storage import ObjectStore

PREFIX = "keys/"
_SUFFIX = ".json"
_MAX_RECORD_BYTES = 64 * 1024
_POST_QUANTUM = XWingRecipient.family
Announce = Callable[[Epoch], None]


class KeyRing:
    """The epochs in a store.

    Args:
        store: where the records lie, under `keys/`.
        verifier: the key that must have signed them.
        clock: decides which epoch may seal.
    """

    def __init__(self, store: ObjectStore, verifier: VerifierKey, clock: Clock) -> None:
        self._store = store
        self._verifier = verifier
        self._clock = clock

    def create_epoch(
        self,
        *,
        purpose: str,
        provider: KeyProvider,
        signer: SignerKey,
        post_quantum: bool = False,
        lifetime: timedelta | None = None,
        announce: Announce | None = None,
    ) -> Epoch:
        """Make a new key; from now on it is the current one of its purpose.

        Args:
            purpose: what it seals.
            provider: who wraps the private half, which exists unwrapped in this call only.
            signer: signs the record.
            post_quantum: make an X-Wing key instead of X25519.
            lifetime: how long it may seal; None for ever.
            announce: told of the epoch before it is written, so that none exists unrecorded.

        Raises:
            InputError: the purpose cannot be one.
            ConfigurationError: the signer is not trusted here, or the provider is weaker than the key.
        """
        check_purpose(purpose)
        if purpose == ESCROW:
            raise InputError("An escrow's private half is made elsewhere.", hint="Use add_escrow.")
        self._check_signer(signer)
        if post_quantum and not provider.post_quantum:
            raise ConfigurationError(
                "A post-quantum key would be wrapped by a provider that is not.",
                hint="Make the key file post-quantum too, or use AWS KMS.",
            )
        identity: Identity = XWingIdentity.generate() if post_quantum else X25519Identity.generate()
        now = self._clock.now()
        epoch_id, recipient = _new_id(purpose, now), str(identity.recipient)
        wrapped = provider.wrap(f"{identity}\n".encode(), wrapping_context(epoch_id, purpose, recipient))
        not_after = now + lifetime if lifetime is not None else None
        return self._write(Epoch(epoch_id, purpose, recipient, now, not_after, wrapped), signer, announce)

    def add_escrow(self, recipient: str, signer: SignerKey, *, announce: Announce | None = None) -> Epoch:
        """Add a recipient whose private half is on no machine here. Adding it again changes nothing.

        Args:
            recipient: the escrow's public half.
            signer: signs the record.
            announce: told of the epoch before it is written, and not at all when it is there already.

        Raises:
            KeyTextError: it is no recipient.
            ConfigurationError: the signer is not trusted here.
        """
        self._check_signer(signer)
        text = str(parse_recipient(recipient))
        for epoch in self.epochs():
            if epoch.purpose == ESCROW and epoch.recipient == text:
                return epoch
        now = self._clock.now()
        return self._write(Epoch(_new_id(ESCROW, now), ESCROW, text, now, None, None), signer, announce)

    def epochs(self) -> list[Epoch]:
        """All epochs, oldest first.

        Raises:
            SignatureError: a record is unsigned, altered, or signed by a key that is not trusted here.
            KeyRecordError: a record is not where it belongs or does not keep to the format.
        """
        keys = [info.key for info in self._store.list(PREFIX) if info.key.endswith(_SUFFIX)]
        return sorted((self._read(key) for key in keys), key=lambda epoch: (epoch.created_at, epoch.id))

    def current(self, purpose: str) -> Epoch:
        """The newest epoch of a purpose that may still seal.

        Raises:
            EpochNotFoundError: the purpose has none.
            EpochExpiredError: it has, but all are past their end.
        """
        return _newest(self.epochs(), purpose, self._clock.now())

    def epochs_for(self, names: Sequence[str]) -> list[Epoch]:
        """The epochs that names in a policy stand for.

        Args:
            names: `epoch` is the current one for backups, `escrow` are all escrows, any other name is the id of
                an epoch or a purpose, of which it is the current one.

        Raises:
            EpochNotFoundError, EpochExpiredError: a name stands for none that may seal.
        """
        known, now = self.epochs(), self._clock.now()
        chosen: dict[str, Epoch] = {}
        for name in names:
            chosen.update((epoch.id, epoch) for epoch in _named(known, name, now))
        return list(chosen.values())

    def recipients(self, names: Sequence[str]) -> list[Recipient]:
        """The recipients that names in a policy stand for; see `epochs_for`. Needs no private key."""
        return [parse_recipient(epoch.recipient) for epoch in self.epochs_for(names)]

    def identities(self, provider: KeyProvider, epoch_ids: Sequence[str] | None = None) -> list[Identity]:
        """The private halves, unwrapped. Escrows have none here.

        Args:
            provider: who wrapped them.
            epoch_ids: which ones; None for all that this provider wrapped.

        Raises:
            EpochNotFoundError: an id is unknown.
            KeyUnwrapError: a private half does not open.
        """
        known = {epoch.id: epoch for epoch in self.epochs()}
        missing = sorted(set(epoch_ids or ()) - known.keys())
        if missing:
            raise EpochNotFoundError(
                f"The key ring has no epoch {', '.join(missing)}.",
                hint="`strongroom keys list` shows those it has.",
            )
        if epoch_ids is None:
            mine = [e for e in known.values() if e.wrapped and e.wrapped.provider == provider.name]
        else:
            mine = [known[epoch_id] for epoch_id in epoch_ids]
        return [_unwrapped(epoch, provider) for epoch in mine if epoch.wrapped]

    def openers(self, provider: KeyProvider, epoch_ids: Sequence[str]) -> list[Identity]:
        """What opens an object that was sealed to these epochs, also when it was rewrapped to a later one.

        The private half of a later epoch of the same purpose is unwrapped only when the named ones do not open it.

        Raises:
            EpochNotFoundError: an id is unknown.
            KeyUnwrapError: a private half does not open.
        """
        epochs = self.epochs()
        named = [epoch for epoch in epochs if epoch.id in set(epoch_ids) and epoch.wrapped]
        later: dict[str, Epoch] = {}
        for old in (epoch for epoch in epochs if epoch.id in set(epoch_ids)):
            after = epochs[epochs.index(old) + 1 :]
            later.update((one.id, one) for one in after if one.purpose == old.purpose and one.wrapped)
        found = self.identities(provider, [*epoch_ids]) if named or not later else []
        own = provider.name
        return [
            *found,
            *(
                LaterIdentity(epoch, provider)
                for epoch in later.values()
                if epoch not in named and epoch.wrapped and epoch.wrapped.provider == own
            ),
        ]

    @property
    def rewraps(self) -> Rewraps:
        """The records of the objects that were rewrapped."""
        return Rewraps(self._store, self._verifier)

    def _check_signer(self, signer: SignerKey) -> None:
        if signer.verifier != self._verifier:
            raise ConfigurationError(
                f"The signing key {signer.verifier.name} is not the one this key ring trusts.",
                hint=f"Trusted is {self._verifier}.",
            )

    def _write(self, epoch: Epoch, signer: SignerKey, announce: Announce | None) -> Epoch:
        if announce is not None:
            announce(epoch)
        record = json.dumps(signer.sign_json(to_document(epoch)), indent=2).encode() + b"\n"
        self._store.put_bytes(_key(epoch.id), record)
        return epoch

    def _read(self, key: str) -> Epoch:
        return read_epoch(self._store.get_bytes(key, max_bytes=_MAX_RECORD_BYTES), key, self._verifier)


def read_epoch(data: bytes, key: str, verifier: VerifierKey) -> Epoch:
    """The epoch in a stored record.

    Args:
        data: the record's bytes.
        key: where it lies in the store.
        verifier: the key that must have signed it.

    Raises:
        SignatureError: unsigned, altered, or signed by another key.
        KeyRecordError: it is not where it belongs or does not keep to the format.
    """
    what = f"The key record {key}"
    epoch = from_document(verify_json(parse_object(data, what), verifier, what), what)
    if _key(epoch.id) != key:
        raise KeyRecordError(f"{what} is the record of another epoch, {epoch.id}.")
    return epoch


class LaterIdentity(Identity):
    """The private half of an epoch that an object may have been rewrapped to, unwrapped when it is asked for."""

    def __init__(self, epoch: Epoch, provider: KeyProvider) -> None:
        self._epoch, self._provider = epoch, provider
        kind = XWingIdentity if parse_recipient(epoch.recipient).family == _POST_QUANTUM else X25519Identity
        self.stanza_type = kind.stanza_type  # type: ignore[misc]  # it depends on the epoch

    @property
    def recipient(self) -> Recipient:
        return parse_recipient(self._epoch.recipient)

    @cached_property
    def _identity(self) -> Identity:
        return _unwrapped(self._epoch, self._provider)

    def unwrap(self, stanza: Stanza) -> bytes | None:
        return self._identity.unwrap(stanza)


def mark_destroyed(store: ObjectStore, epoch: Epoch, signer: SignerKey, now: datetime) -> None:
    """Replace an epoch's record by one without its private half, and delete every version that has it.

    Again does what is left of it.

    Raises:
        ObjectLockedError: a lock or a hold forbids to delete a version.
        PreconditionFailedError: somebody changed the record meanwhile.
    """
    from strongroom.storage import Condition, ObjectNotFoundError

    key = _key(epoch.id)
    try:
        current, etag = read_epoch(store.get_bytes(key), key, signer.verifier), store.head(key).etag
    except ObjectNotFoundError:
        return
    if current.wrapped is not None:
        destroyed = replace(current, wrapped=None, destroyed_at=now)
        record = json.dumps(signer.sign_json(to_document(destroyed)), indent=2).encode() + b"\n"
        store.put_bytes(key, record, condition=Condition.if_match(etag))
    for name, version_id in private_versions(store, epoch.id):
        store.delete_version(name, version_id)


def private_versions(store: ObjectStore, epoch_id: str) -> list[tuple[str, str | None]]:
    """The versions of an epoch's record that hold its private half, as keys and version ids."""
    key, found = _key(epoch_id), []
    for info in list(store.list_versions(key)):
        if info.key == key and parse_object(
            store.get_bytes(key, version_id=info.version_id, max_bytes=_MAX_RECORD_BYTES), key
        ).get("wrapped"):
            found.append((key, info.version_id))
    return found


def _key(epoch_id: str) -> str:
    return f"{PREFIX}{epoch_id}{_SUFFIX}"


def _new_id(purpose: str, now: datetime) -> str:
    return f"{purpose}-{now:%Y%m%dT%H%M%SZ}-{secrets.token_hex(2)}"


def _named(known: Sequence[Epoch], name: str, now: datetime) -> list[Epoch]:
    if name == ESCROW:
        escrows = [epoch for epoch in known if epoch.purpose == ESCROW and epoch.may_seal(now)]
        if not escrows:
            raise EpochNotFoundError(
                "The key ring has no escrow recipient.",
                hint="`strongroom keys init` adds one; keep its private half off every machine here.",
            )
        return escrows
    by_id = [epoch for epoch in known if epoch.id == name]
    if by_id and not by_id[0].may_seal(now):
        raise EpochExpiredError(f"The epoch {name} may not seal any more.")
    return by_id or [_newest(known, BACKUP if name == "epoch" else name, now)]


def _newest(known: Sequence[Epoch], purpose: str, now: datetime) -> Epoch:
    of_purpose = [epoch for epoch in known if epoch.purpose == purpose]
    usable = [epoch for epoch in of_purpose if epoch.may_seal(now)]
    if usable:
        return usable[-1]
    hint = "`strongroom keys init` makes one."
    if of_purpose:
        raise EpochExpiredError(f"Every {purpose} epoch is past its end: none may seal.", hint=hint)
    raise EpochNotFoundError(f"The key ring has no {purpose} epoch.", hint=hint)


def _unwrapped(epoch: Epoch, provider: KeyProvider) -> Identity:
    if epoch.wrapped is None:
        raise EpochNotFoundError(f"The private half of {epoch.id} is not here: it is an escrow.")
    context = wrapping_context(epoch.id, epoch.purpose, epoch.recipient)
    identity = parse_identities(provider.unwrap(epoch.wrapped, context).decode())[0]
    if str(identity.recipient) != epoch.recipient:
        raise KeyRecordError(f"The private half in the record of {epoch.id} is that of another key.")
    return identity
