"""Files that appear whole or not at all, and large ones that reach the disk while they grow."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from strongroom.errors import InputError

_FLUSH_BYTES = 16 << 20


class GrowingFile:
    """Writes to a descriptor, and lets the disk begin early, so that a flush at the end has little to wait for.

    On Linux, telling that pages are not needed starts writing them; those being written stay in the cache.

    Args:
        descriptor: of an empty file; it stays the caller's to flush and to close.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._written = self._flushing = 0

    def write(self, view: memoryview) -> None:
        """Write all of it: a raw write may take a part only."""
        while view:
            size = os.write(self._descriptor, view)
            self._written += size
            view = view[size:]
        if self._written - self._flushing >= _FLUSH_BYTES and hasattr(os, "posix_fadvise"):
            length = self._written - self._flushing
            os.posix_fadvise(self._descriptor, self._flushing, length, os.POSIX_FADV_DONTNEED)
            self._flushing = self._written


@contextmanager
def new_private_file(path: str | Path) -> Iterator[BinaryIO]:
    """Write a new file (mode 0600) that gets its name only when the block ends without an error.

    Raises:
        InputError: there is a file of that name, or its folder cannot be written.
    """
    target = Path(path)
    draft = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    if target.exists():
        raise InputError(f"{target} exists already.", hint="Name a new file; nothing is overwritten.")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise InputError(f"{target} cannot be written: {error.strerror}.") from error
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        _publish(draft, target)
    finally:
        draft.unlink(missing_ok=True)


def _publish(draft: Path, target: Path) -> None:
    try:
        os.link(draft, target)
    except FileExistsError as error:
        raise InputError(f"{target} appeared in the meantime.", hint="Name a new file.") from error
