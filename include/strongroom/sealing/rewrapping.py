"""Rewrapping one object in one store: another header for other keys, the payload's bytes untouched.

    1 read it whole: it is the form that is known; what it will be under the new header is hashed on the way
    2 write the record of the new form, signed          3 have the store put the new header in the old one's place,
      (see `rewraps`)                                      only if the object is still the same, locked as before
    4 read it whole again: it is the new form           5 later: delete the version with the old header, once
                                                           no lock and no hold forbids it

Killed anywhere, the object is one of the forms that its record lists, and the next run goes on from there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import BinaryIO

from strongroom.clock import Clock
from strongroom.errors import IntegrityError
from strongroom.sealing.rewraps import Form, RewrapRecord, Rewraps
from strongroom.sealing.stream import read_header
from strongroom.signing import SignerKey, VerifierKey
from strongroom.storage import ObjectInfo, ObjectLockedError, ObjectNotFoundError, ObjectStore

_PIECE_BYTES = 1 << 20
NewHeader = Callable[[bytes], bytes]
"""Gives the new header for the one that an object has."""


class NotTheRecordedError(IntegrityError):
    """An object is in none of the forms that were recorded of it: it is left as it is."""


@dataclass(frozen=True)
class Known:
    """An object as the index knows it."""

    key: str
    size_bytes: int
    sha256: str
    epoch_ids: tuple[str, ...]


@dataclass(frozen=True)
class Rewrapped:
    """An object in the form that was wanted."""

    form: Form
    changed: bool
    """Whether this call gave it the form."""
    version_id: str | None
    """The version that has it, where the store keeps versions."""
    replaced: ObjectInfo | None = None
    """The object as it was before; None when nothing was changed."""


class ObjectRewrapper:
    """Rewraps the objects of one store.

    Args:
        store: where they are.
        verifier: the key that records must be signed with.
        signer: signs the records.
        clock: the time.
    """

    def __init__(self, store: ObjectStore, verifier: VerifierKey, signer: SignerKey, clock: Clock) -> None:
        self.store = store
        self.rewraps = Rewraps(store, verifier)
        self._signer = signer
        self._clock = clock

    def header(self, key: str) -> bytes:
        """An object's header as it is now.

        Raises:
            ObjectNotFoundError: there is no such object.
            HeaderError: it is no sealed object.
        """
        with self.store.open_range(key) as stream:
            return read_header(stream)[0].encode()

    def rewrap(self, known: Known, wanted: Sequence[str], new_header: NewHeader) -> Rewrapped:
        """Give an object a header for other keys, unless it has one.

        Args:
            known: the object.
            wanted: the epochs that are to open it.
            new_header: makes the header for them.

        Raises:
            NotTheRecordedError: it is not what was recorded; it stays as it is.
            ObjectNotFoundError: it is gone.
            PreconditionFailedError: somebody changed it meanwhile.
        """
        info = self.store.head(known.key)
        with self.store.open_range(known.key, version_id=info.version_id) as stream:
            header, rest = read_header(stream)
            old = header.encode()
            record = self.rewraps.find(known.key) or self._first_record(known, old)
            form = record.form_of(old)
            if form is None:
                raise _not_recorded(known.key, self.store.url)
            if set(form.epoch_ids) == set(wanted):
                return Rewrapped(form, False, info.version_id)
            new = new_header(old)
            before, after = _digests((old, new), rest, stream)
        if (info.size_bytes, before) != form.identity:
            raise _not_recorded(known.key, self.store.url)
        size_bytes = info.size_bytes - len(old) + len(new)
        planned = self._form(size_bytes, after, wanted, new)
        self.rewraps.write(record.with_version(form, info.version_id).with_form(planned), self._signer)
        written = self._replace(info, new, len(old))
        self._verify(known.key, planned, written.version_id)
        return Rewrapped(planned, True, written.version_id, info)

    def clear(self, key: str) -> int:
        """Delete the versions with an older header that nothing forbids to delete; how many have to stay.

        What stays is locked, or under legal hold. The record of an object that is gone goes too.

        Raises:
            NotTheRecordedError: the object as it is is not the newest form; nothing was deleted.
        """
        record = self.rewraps.find(key)
        if record is None:
            return 0
        try:
            current = record.form_of(self.header(key))
        except ObjectNotFoundError:
            self.rewraps.remove(key)
            return 0
        old = [form for form in record.forms if form.version_id is not None and form is not current]
        free = [form for form in old if self._is_free(key, form.version_id)]
        if free and current is not None:
            self._verify(key, current, None)
            record = self._delete(record, free)
        return sum(form.version_id is not None and form is not current for form in record.forms)

    def _delete(self, record: RewrapRecord, forms: Sequence[Form]) -> RewrapRecord:
        now = self.store.head(record.key).version_id
        for form in forms:
            if form.version_id == now:
                continue
            try:
                self.store.delete_version(record.key, form.version_id)
            except ObjectLockedError:
                continue
            record = record.with_version(form, None)
        self.rewraps.write(record, self._signer)
        return record

    def _is_free(self, key: str, version_id: str | None) -> bool:
        """Whether neither a lock nor a hold forbids to delete a version; one that is gone is free too."""
        try:
            info = self.store.head(key, version_id=version_id)
        except ObjectNotFoundError:
            return True
        locked = info.retention is not None and info.retention.until > self._clock.now()
        return not locked and not info.legal_hold

    def _replace(self, info: ObjectInfo, new: bytes, old_bytes: int) -> ObjectInfo:
        lock = info.retention if info.retention and info.retention.until > self._clock.now() else None
        written = self.store.replace_start(info.key, new, old_bytes, etag=info.etag, retention=lock)
        if info.legal_hold:
            self.store.set_hold(info.key, True, version_id=written.version_id)
        return written

    def _verify(self, key: str, form: Form, version_id: str | None) -> None:
        with self.store.open_range(key, version_id=version_id) as stream:
            (found,) = _digests((b"",), b"", stream)
        if found != form.sha256:
            raise NotTheRecordedError(
                f"{key} in {self.store.url} is not what it was to become under its new header.",
                hint="The version before has not been deleted where the store keeps versions: make it the current one.",
            )

    def _first_record(self, known: Known, header: bytes) -> RewrapRecord:
        form = self._form(known.size_bytes, known.sha256, known.epoch_ids, header)
        return RewrapRecord(known.key, (form,))

    def _form(self, size_bytes: int, sha256: str, epoch_ids: Sequence[str], header: bytes) -> Form:
        return Form(
            size_bytes=size_bytes,
            sha256=sha256,
            epoch_ids=tuple(epoch_ids),
            header_bytes=len(header),
            header_sha256=hashlib.sha256(header).hexdigest(),
            since=self._clock.now(),
        )


def _digests(starts: Sequence[bytes], rest: bytes, stream: BinaryIO) -> tuple[str, ...]:
    """The SHA-256 of each beginning with the rest of the stream behind it."""
    digests = [hashlib.sha256(start + rest) for start in starts]
    while piece := stream.read(_PIECE_BYTES):
        for digest in digests:
            digest.update(piece)
    return tuple(digest.hexdigest() for digest in digests)


def _not_recorded(key: str, where: str) -> NotTheRecordedError:
    return NotTheRecordedError(
        f"{key} in {where} is not the object that was recorded.",
        hint="It was damaged or replaced, and is left as it is. Verify the backup that it belongs to.",
    )
