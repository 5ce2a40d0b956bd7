"""Rewrapped objects: the same payload under another header, and the signed record that says so.

`rewraps/<object key>.json`, signed, written before the object is changed:

    {"format": "strongroom/rewrap/v1", "key": "backups/shop/…/base.tar.zst.age",
     "forms": [{"size_bytes": 1, "sha256": "…", "epoch_ids": ["…"], "header_bytes": 200, "header_sha256": "…",
                "since": "…Z", "version_id": "…" | null}, …],
     "signature": {…}, "software": {…}}

A manifest or a receipt names an object by the size and hash that it was stored with, and is never written again: the
proofs and the backups on top of it name the manifest's own hash. So an object counts as the recorded one when it is
in any form that this record lists and the first of them is the recorded one. The payload is the same in all of them:
whoever made a form has read it all and compared it with the form before.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from strongroom import __version__
from strongroom.canonical import canonical_bytes, parse_object
from strongroom.clock import parse_timestamp, timestamp
from strongroom.errors import IntegrityError
from strongroom.signing import SignerKey, VerifierKey, verify_json

if TYPE_CHECKING:
    from strongroom.storage import ObjectStore

FORMAT = "strongroom/rewrap/v1"
PREFIX = "rewraps/"
_SUFFIX = ".json"
_MAX_BYTES = 1 << 20


class RewrapRecordError(IntegrityError):
    """A record of a rewrapped object is not what was written."""


@dataclass(frozen=True)
class Form:
    """An object as it is, or was, under one header."""

    size_bytes: int
    sha256: str
    """Of the sealed bytes, header and payload."""
    epoch_ids: tuple[str, ...]
    """The key epochs that open it."""
    header_bytes: int
    header_sha256: str
    since: datetime
    """When it was decided on; for the first form, when it was recorded here."""
    version_id: str | None = None
    """The version in this store that has it, once it is known to be replaced."""

    @property
    def identity(self) -> tuple[int, str]:
        """What manifests know an object by: size and hash."""
        return (self.size_bytes, self.sha256)

    def has_header(self, header: bytes) -> bool:
        """Whether these are its header's bytes."""
        digest = hashlib.sha256(header).hexdigest()
        return (len(header), digest) == (self.header_bytes, self.header_sha256)


@dataclass(frozen=True)
class RewrapRecord:
    """All forms of one object, the one that manifests name first."""

    key: str
    forms: tuple[Form, ...]

    def knows(self, size_bytes: int, sha256: str) -> bool:
        """Whether this size and hash are those of one of its forms."""
        return any(form.identity == (size_bytes, sha256) for form in self.forms)

    def form_of(self, header: bytes) -> Form | None:
        """The form with this header; None when it is nobody's of this record."""
        return next((form for form in reversed(self.forms) if form.has_header(header)), None)

    def with_form(self, form: Form) -> RewrapRecord:
        """The record with one more form."""
        return replace(self, forms=(*self.forms, form))

    def with_version(self, form: Form, version_id: str | None) -> RewrapRecord:
        """The record that says which version has a form, so that it is deleted once nothing forbids that."""
        changed = replace(form, version_id=version_id)
        return replace(self, forms=tuple(changed if one == form else one for one in self.forms))


class Rewraps:
    """The records of rewrapped objects in a store.

    Args:
        store: where they lie, under `rewraps/`.
        verifier: the key that must have signed them.
    """

    def __init__(self, store: ObjectStore, verifier: VerifierKey) -> None:
        self._store = store
        self._verifier = verifier

    def find(self, key: str) -> RewrapRecord | None:
        """The record of an object; None for one that was never rewrapped.

        Raises:
            SignatureError: it is unsigned, altered or signed by another key.
            RewrapRecordError: it is malformed or lies elsewhere.
        """
        from strongroom.storage import ObjectNotFoundError

        try:
            data = self._store.get_bytes(record_key(key), max_bytes=_MAX_BYTES)
        except ObjectNotFoundError:
            return None
        return read_rewrap(data, record_key(key), self._verifier)

    def keys(self, prefix: str = "") -> Iterator[str]:
        """The keys of the rewrapped objects below a prefix, sorted."""
        for info in self._store.list(PREFIX + prefix):
            if info.key.endswith(_SUFFIX):
                yield info.key.removeprefix(PREFIX).removesuffix(_SUFFIX)

    def below(self, prefix: str) -> dict[str, RewrapRecord]:
        """The records of the objects below a prefix, by the objects' keys. Raises what `find` raises."""
        found = ((key, self.find(key)) for key in self.keys(prefix))
        return {key: record for key, record in found if record is not None}

    def write(self, record: RewrapRecord, signer: SignerKey) -> None:
        """Write a record, in place of the one before it.

        Raises:
            PreconditionFailedError, ObjectExistsError: another run wrote one at the same time.
        """
        from strongroom.storage import Condition, ObjectNotFoundError

        key = record_key(record.key)
        try:
            condition = Condition.if_match(self._store.head(key).etag)
        except ObjectNotFoundError:
            condition = Condition.IF_ABSENT
        self._store.put_bytes(key, sign_rewrap(record, signer), condition=condition)

    def remove(self, key: str) -> None:
        """Remove the record of an object that is gone."""
        for info in list(self._store.list_versions(record_key(key))):
            self._store.delete_version(info.key, info.version_id)


def record_key(key: str) -> str:
    """Where the record of an object lies."""
    return f"{PREFIX}{key}{_SUFFIX}"


def sign_rewrap(record: RewrapRecord, signer: SignerKey) -> bytes:
    """The record as the bytes that are stored."""
    forms = [
        {**asdict(form), "epoch_ids": list(form.epoch_ids), "since": timestamp(form.since)}
        for form in record.forms
    ]
    software = {"strongroom": __version__}
    body = {"format": FORMAT, "key": record.key, "forms": forms, "software": software}
    return canonical_bytes(signer.sign_json(body)) + b"\n"


def read_rewrap(data: bytes, key: str, verifier: VerifierKey) -> RewrapRecord:
    """The record in stored bytes.

    Raises:
        SignatureError: unsigned, altered or signed by another key.
        RewrapRecordError: malformed, or it lies where it does not belong.
    """
    what = f"The record {key}"
    body = verify_json(parse_object(data, what), verifier, what)
    if body.get("format") != FORMAT:
        raise RewrapRecordError(f"{what} is not of the format {FORMAT}.")
    try:
        record = RewrapRecord(body["key"], tuple(_form(form) for form in body["forms"]))
    except (KeyError, TypeError, ValueError) as error:
        raise RewrapRecordError(f"{what} does not keep to the format {FORMAT}: {error}") from error
    if record_key(record.key) != key or not record.forms:
        raise RewrapRecordError(f"{what} is the record of another object.")
    return record


def _form(members: Mapping[str, Any]) -> Form:
    values = dict(members)
    epoch_ids, since = tuple(values.pop("epoch_ids")), parse_timestamp(values.pop("since"))
    return Form(**values, epoch_ids=epoch_ids, since=since)
