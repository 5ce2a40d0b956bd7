"""Moving one object from store to store without opening it, hashed on the way."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import suppress
from typing import BinaryIO

from strongroom.backup.copying.areas import SealedObject
from strongroom.backup.copying.errors import CopyDiffersError, DamagedSourceError
from strongroom.storage import (
    Condition,
    ObjectExistsError,
    ObjectLockedError,
    ObjectStore,
    PreconditionFailedError,
    Retention,
)

_PIECE_BYTES = 1 << 20


def transfer(source: ObjectStore, target: ObjectStore, item: SealedObject) -> bool:
    """Copy a sealed object. Nothing is left in the copy unless every byte is the recorded one.

    Returns:
        Whether it was copied; False when it was there.

    Raises:
        DamagedSourceError: the source's is not the recorded one.
        ObjectNotFoundError: the source has none.
        CopyDiffersError: the copy holds another one under that name.
    """
    try:
        with source.open_range(item.key) as stream:
            target.put_stream(item.key, _checked(stream, item, source.url))
    except ObjectExistsError:
        check_same(target, item)
        return False
    return True


def check_same(target: ObjectStore, item: SealedObject) -> None:
    """Let an object pass that is the recorded one, as far as the store can tell without handing it out.

    Raises:
        CopyDiffersError: it has another size or hash.
        ObjectNotFoundError: it is not there.
    """
    found = target.head(item.key)
    known = {form for form in item.forms if found.sha256 in (None, form[1])}
    if found.size_bytes not in {size for size, _ in known}:
        raise CopyDiffersError(
            f"{item.key} in {target.url} is another object than the recorded one.",
            hint="Nothing was overwritten. Find out who wrote it, delete it there, and copy again.",
        )


def put_document(
    target: ObjectStore, key: str, data: bytes, *, changes: bool, retention: Retention | None = None
) -> bool:
    """Write a signed document, after everything that it names.

    Args:
        changes: whether it may replace an earlier state of it.
        retention: until when it is locked.

    Returns:
        Whether it was written; False when it was there.

    Raises:
        CopyDiffersError: the copy holds another one under that name.
    """
    try:
        target.put_bytes(key, data, retention=retention)
        return True
    except ObjectExistsError:
        etag, found = target.head(key).etag, target.get_bytes(key)
    if found == data:
        return False
    if not changes:
        raise CopyDiffersError(
            f"{key} in {target.url} differs from the one that was to be copied.",
            hint="Nothing was overwritten. Compare the two; the one that is signed and in the log is right.",
        )
    try:
        target.put_bytes(key, data, condition=Condition.if_match(etag))
    except PreconditionFailedError:
        return False  # another run was faster, with a state that is at least as new
    return True


def lock(target: ObjectStore, key: str, retention: Retention) -> None:
    """Lock an object in the copy; one that is locked for longer stays so."""
    with suppress(ObjectLockedError):
        target.extend_retention(key, retention)


def _checked(stream: BinaryIO, item: SealedObject, where: str) -> Iterator[bytes]:
    """The stream's bytes; raises at the end, or as soon as it is too long, unless they are the recorded ones."""
    digest, length = hashlib.sha256(), 0
    longest = max(size for size, _ in item.forms)
    while piece := stream.read(_PIECE_BYTES):
        digest.update(piece)
        length += len(piece)
        if length > longest:
            break
        yield piece
    if (length, digest.hexdigest()) not in item.forms:
        raise DamagedSourceError(
            f"{item.key} in {where} is not the object that its signed document names.",
            hint="It was damaged or replaced, and was not copied. Another copy may have it whole.",
        )
