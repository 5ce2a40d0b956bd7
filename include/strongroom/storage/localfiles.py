"""Files of a local store: written aside, flushed to the disk, then given their name in one step.

The content's SHA-256 is kept in the extended attribute `user.strongroom.sha256` of the file itself, so it
appears and disappears with it. A file system without such attributes keeps no checksum.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

from strongroom.errors import StrongroomError
from strongroom.files import GrowingFile
from strongroom.storage.errors import (
    ChecksumMismatchError,
    ObjectNotFoundError,
    StoreDeniedError,
    StoreError,
    StoreUnavailableError,
)
from strongroom.storage.interface import Buffer, ObjectInfo

_CHECKSUM_ATTRIBUTE = "user.strongroom.sha256"
_FULL = (errno.ENOSPC, errno.EDQUOT)


def store_fault(fault: OSError, key: str) -> StrongroomError:
    """What an operating system's error means for whoever asked for the object `key`."""
    if isinstance(fault, FileNotFoundError | NotADirectoryError | IsADirectoryError):
        return ObjectNotFoundError(f"there is no object {key!r}", hint="List the store to see what it has.")
    if isinstance(fault, PermissionError):
        return StoreDeniedError(
            f"the operating system does not permit access to {key!r}",
            hint="Check who owns the store's directory.",
        )
    if fault.errno in _FULL:
        return StoreUnavailableError(
            f"the disk was full while writing {key!r}; nothing of it was kept",
            hint="Free space, then try again.",
        )
    if fault.errno == errno.ENAMETOOLONG:
        return StoreError(f"the name of {key!r} is too long for this file system")
    return StoreUnavailableError(f"the disk failed at {key!r}: {os.strerror(fault.errno or errno.EIO)}")


def write_aside(directory: Path, chunks: Iterable[Buffer]) -> Path:
    """Write the chunks into a new file of the hidden folder and flush it to the disk.

    The file's name tells which process writes it. It is gone again if anything fails.
    """
    path = directory / f"{os.getpid()}-{uuid4().hex}"
    try:
        with path.open("xb", buffering=0) as file:
            digest = hashlib.sha256()
            growing = GrowingFile(file.fileno())
            for chunk in chunks:
                growing.write(memoryview(chunk).cast("B"))
                digest.update(chunk)
            _record_checksum(file.fileno(), digest.hexdigest())
            os.fchmod(file.fileno(), 0o600)
            os.fsync(file.fileno())
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return path


def _record_checksum(descriptor: int, sha256: str) -> None:
    if not hasattr(os, "setxattr"):
        return
    try:
        os.setxattr(descriptor, _CHECKSUM_ATTRIBUTE, sha256.encode())
    except OSError as fault:
        if fault.errno not in (errno.ENOTSUP, errno.EPERM, errno.EACCES):
            raise


def recorded_checksum(path: Path | int) -> str | None:
    """The SHA-256 that was recorded when the file was written, in hex."""
    if not hasattr(os, "getxattr"):
        return None
    try:
        return os.getxattr(path, _CHECKSUM_ATTRIBUTE).decode("ascii", "replace")
    except OSError as fault:
        if fault.errno in (errno.ENODATA, errno.ENOTSUP):
            return None
        raise


def info_of(key: str, path: Path) -> ObjectInfo:
    """What is known of the object in this file.

    Raises:
        FileNotFoundError: there is no such file, or it is not a plain one.
    """
    status = path.lstat()
    if not stat.S_ISREG(status.st_mode):
        raise FileNotFoundError(errno.ENOENT, "not a file", str(path))
    return ObjectInfo(
        key=key,
        size_bytes=status.st_size,
        etag=f"{status.st_ino:x}-{status.st_mtime_ns:x}-{status.st_size:x}",
        modified_at=datetime.fromtimestamp(status.st_mtime, UTC),
        sha256=recorded_checksum(path),
    )


def check_content(key: str, data: bytes, sha256: str | None) -> bytes:
    """The data, if it is what was written.

    Raises:
        ChecksumMismatchError: it is not.
    """
    if sha256 is not None and hashlib.sha256(data).hexdigest() != sha256:
        raise ChecksumMismatchError(
            f"the content of {key!r} is not what was written",
            hint="The disk or somebody altered it: use another copy.",
        )
    return data


def sync_directory(directory: Path) -> None:
    """Flush a directory's entries to the disk."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_directories(directory: Path, root: Path) -> None:
    """Make the directories down from `root`, each flushed into its parent."""
    if directory == root or directory.is_dir():
        return
    make_directories(directory.parent, root)
    directory.mkdir(mode=0o700, exist_ok=True)
    sync_directory(directory.parent)
