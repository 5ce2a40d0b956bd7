"""Reading a sealed object while hashing it: one pass opens it and proves that it is the same bytes."""

from __future__ import annotations

import hashlib
import io
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO, cast

from strongroom.sealing import Identity, RewrapRecord, Rewraps
from strongroom.sealing.pipeline import OpeningPipeline
from strongroom.storage import ObjectNotFoundError, ObjectStore
from strongroom.vault.errors import ObjectKeyError, ObjectReplacedError, UnknownObjectError
from strongroom.vault.interface import Buffer, ObjectReader, OpenedObject, StoredObject
from strongroom.vault.seeking import ProvenBeginning, proven_beginning, seekable


class HashingReader(io.RawIOBase):
    """Passes a stream's bytes on, and keeps their number and their SHA-256."""

    def __init__(self, source: BinaryIO) -> None:
        self._source = source
        self._digest = hashlib.sha256()
        self.size_bytes = 0

    def readable(self) -> bool:
        """Always."""
        return True

    def readinto(self, buffer: bytearray | memoryview, /) -> int:  # type: ignore[override]
        """Read into the buffer; 0 at the end."""
        into = memoryview(buffer).cast("B")
        count = self._source.readinto(into) or 0  # type: ignore[attr-defined]
        self._digest.update(into[:count])
        self.size_bytes += count
        return count

    @property
    def sha256(self) -> str:
        """Of what was read so far, in hexadecimal."""
        return self._digest.hexdigest()

    def close(self) -> None:
        """Close the stream below too."""
        self._source.close()
        super().close()


class CheckedReader(OpenedObject):
    """An object being decrypted; at its end, its size and hash are compared with the reference.

    Args:
        source: the sealed bytes.
        identities: one of them must be a recipient.
        reference: what it must be.
        exact: whether the reference's size and hash are known.
        rewrapped: the record of its other forms, when it was rewrapped.
    """

    def __init__(
        self,
        source: BinaryIO,
        identities: list[Identity],
        reference: StoredObject,
        *,
        exact: bool,
        rewrapped: RewrapRecord | None = None,
    ) -> None:
        self._source = HashingReader(source)
        self._identities = identities
        self._reference = reference
        self._exact = exact
        self._accepted = accepted_forms(reference, rewrapped)
        self.complete = False

    def __iter__(self) -> Iterator[Buffer]:
        pipeline = OpeningPipeline(
            self._source,
            self._identities,
            context=self._reference.context,
            decompress=self._reference.compressed,
        )
        yield from pipeline
        if self._exact:
            self._compare()
        self.complete = True

    def _compare(self) -> None:
        found = (self._source.size_bytes, self._source.sha256)
        if found not in self._accepted:
            raise ObjectReplacedError(
                f"{self._reference.key} is not the object that was recorded:"
                f" {found[0]} bytes instead of {self._reference.size_bytes}, or another hash.",
                hint="Somebody replaced it. With versions in the bucket, look for the recorded one.",
            )


def accepted_forms(reference: StoredObject, rewrapped: RewrapRecord | None) -> frozenset[tuple[int, str]]:
    """The sizes and hashes that an object may have: as it is referred to, and as it was rewrapped."""
    named = (reference.size_bytes, reference.sha256)
    if rewrapped is None or not rewrapped.knows(*named):
        return frozenset({named})
    return frozenset(form.identity for form in rewrapped.forms)


class SeriesReader(ObjectReader):
    """Opens the objects of one folder with keys that were unwrapped before, and counts them."""

    def __init__(self, store: ObjectStore, rewraps: Rewraps, identities: list[Identity], prefix: str) -> None:
        self._store = store
        self._rewraps = rewraps
        self._rewrapped = frozenset(rewraps.keys(prefix))
        self._identities = identities
        self._prefix = prefix
        self._lock = threading.Lock()
        self._opened = self._plaintext_bytes = 0
        self._beginnings: dict[StoredObject, ProvenBeginning] = {}

    @contextmanager
    def open(self, expect: StoredObject) -> Iterator[OpenedObject]:
        self._check_place(expect)
        record = self._record(expect)
        with open_sealed(self._store, expect) as source:
            reader = CheckedReader(source, self._identities, expect, exact=True, rewrapped=record)
            yield reader
        if reader.complete:
            self._count(expect)

    @contextmanager
    def open_anywhere(self, expect: StoredObject) -> Iterator[BinaryIO]:
        self._check_place(expect)
        beginning = self._beginnings.get(expect)
        if beginning is None:
            with open_sealed(self._store, expect) as source:
                accepted = accepted_forms(expect, self._record(expect))
                beginning = self._beginnings[expect] = proven_beginning(source, expect, accepted)
            self._count(expect)
        with seekable(self._store, expect, beginning, self._identities) as reader:
            yield cast(BinaryIO, reader)

    def _record(self, expect: StoredObject) -> RewrapRecord | None:
        return self._rewraps.find(expect.key) if expect.key in self._rewrapped else None

    def _check_place(self, expect: StoredObject) -> None:
        if not expect.key.startswith(self._prefix):
            raise ObjectKeyError(f"The object {expect.key} does not lie below {self._prefix}.")

    def _count(self, expect: StoredObject) -> None:
        with self._lock:
            self._opened += 1
            self._plaintext_bytes += expect.plaintext_bytes

    def counts(self) -> dict[str, int]:
        """How many objects were read to their end, or opened to read from anywhere, and how much they held."""
        return {"objects": self._opened, "plaintext_bytes": self._plaintext_bytes}


@contextmanager
def open_sealed(store: ObjectStore, reference: StoredObject) -> Iterator[BinaryIO]:
    """The sealed bytes of an object.

    Raises:
        UnknownObjectError: it is not in the bucket.
    """
    try:
        source = store.open_range(reference.key, version_id=reference.version_id)
    except ObjectNotFoundError as error:
        raise UnknownObjectError(
            f"The object {reference.key} is not in the bucket.",
            hint="It was recorded, so it was deleted or the bucket is another one.",
        ) from error
    with source:
        yield source
