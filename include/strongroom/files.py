"""Files that appear whole or not at all."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from strongroom.errors import InputError


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
