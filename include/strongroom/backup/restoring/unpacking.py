"""Unpacking a backup's tar as it streams in: stricter than tar, because a restore must not write elsewhere.

A tar stream (POSIX 1003.1 ustar) is 512-byte headers, each followed by its content padded to 512 bytes, and two
blocks of zeros at the end. What `pg_basebackup` writes holds plain files and directories under relative names and
nothing else, so a link, a device, an absolute name, a `..`, or a name that comes twice is refused.
"""

from __future__ import annotations

import os
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from strongroom.backup.restoring.errors import BrokenArchiveError, UnsafeArchiveError
from strongroom.files import GrowingFile
from strongroom.postgres import ServiceAccount

Buffer = bytes | bytearray | memoryview

_BLOCK = 512
_ZEROS = bytes(_BLOCK)
_FILE_TYPES = (tarfile.REGTYPE, tarfile.AREGTYPE)
_HINT = "This is no backup that Strongroom wrote. Do not restore it; look at who can write to the bucket."


@dataclass(frozen=True)
class Unpacked:
    """What a tar stream held."""

    files: int
    file_bytes: int
    stream_bytes: int


def unpack_tar(chunks: Iterable[Buffer], directory: Path, account: ServiceAccount | None) -> Unpacked:
    """Write the members below a directory, in constant memory, and read the stream to its very end.

    Args:
        chunks: the tar stream; a buffer is used up before the next one is asked for.
        directory: where the members go; it exists and is empty.
        account: who is to own them; None for ourselves.

    Raises:
        UnsafeArchiveError: a member that could write outside the directory, or that is no file or directory.
        BrokenArchiveError: the stream ends too early or a header is damaged.
        OSError: writing failed, for instance because the disk is full.
    """
    stream = _Stream(chunks)
    files = file_bytes = 0
    while (header := stream.exactly(_BLOCK)) != _ZEROS:
        member = _parse(header)
        path = _safe_path(directory, member)
        if member.isdir():
            _make_directory(path, account)
            continue
        _write_file(path, stream.content(member.size), account)
        stream.skip(-member.size % _BLOCK)
        files += 1
        file_bytes += member.size
    stream.only_zeros_left()
    return Unpacked(files, file_bytes, stream.position)


class _Stream:
    """Reads given lengths out of buffers of any length."""

    def __init__(self, chunks: Iterable[Buffer]) -> None:
        self._chunks = iter(chunks)
        self._rest = memoryview(b"")
        self.position = 0

    def content(self, length: int) -> Iterator[memoryview]:
        """The next `length` bytes, as views that are valid until the next one is asked for."""
        while length:
            piece = self._next(length)
            length -= len(piece)
            yield piece

    def exactly(self, length: int) -> bytes:
        return b"".join(bytes(piece) for piece in self.content(length))

    def skip(self, length: int) -> None:
        for _ in self.content(length):
            pass

    def only_zeros_left(self) -> None:
        """Read to the end, where the stream's own checks are made."""
        if any(self._rest):
            raise BrokenArchiveError("The archive goes on after its end.", hint=_HINT)
        self.position += len(self._rest)
        for chunk in self._chunks:
            self.position += len(chunk)
            if any(memoryview(chunk)):
                raise BrokenArchiveError("The archive goes on after its end.", hint=_HINT)

    def _next(self, most: int) -> memoryview:
        while not self._rest:
            chunk = next(self._chunks, None)
            if chunk is None:
                raise BrokenArchiveError(
                    f"The archive ends early, after {self.position} bytes.",
                    hint="Verify an older backup, and take a new one.",
                )
            self._rest = memoryview(chunk).cast("B")
        piece, self._rest = self._rest[:most], self._rest[most:]
        self.position += len(piece)
        return piece


def _parse(header: bytes) -> tarfile.TarInfo:
    try:
        return tarfile.TarInfo.frombuf(header, "utf-8", "strict")
    except (tarfile.HeaderError, ValueError) as error:
        raise BrokenArchiveError(f"A header in the archive is damaged: {error}") from error


def _safe_path(directory: Path, member: tarfile.TarInfo) -> Path:
    name = member.name
    parts = PurePosixPath(name).parts
    if not parts and member.isdir():
        return directory
    if not parts or name.startswith("/") or ".." in parts or "\0" in name or "\\" in name:
        raise UnsafeArchiveError(
            f"The archive holds a member with the unsafe name {name[:120]!r}.", hint=_HINT
        )
    if not member.isdir() and member.type not in _FILE_TYPES:
        raise UnsafeArchiveError(
            f"The archive member {name[:120]!r} is of the type {member.type!r}, no file or directory.",
            hint=_HINT,
        )
    return directory.joinpath(*parts)


def _make_directory(path: Path, account: ServiceAccount | None) -> None:
    try:
        path.mkdir(mode=0o700, exist_ok=True)
    except (FileExistsError, FileNotFoundError, NotADirectoryError) as error:
        raise UnsafeArchiveError(
            f"The archive's directory {path.name!r} has no place.", hint=_HINT
        ) from error
    if account is not None:
        os.chown(path, account.uid, account.gid)


def _write_file(path: Path, content: Iterator[memoryview], account: ServiceAccount | None) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags, 0o600)
    except (FileExistsError, FileNotFoundError, NotADirectoryError) as error:
        raise UnsafeArchiveError(
            f"The archive's file {path.name!r} comes twice or has no directory.", hint=_HINT
        ) from error
    try:
        if account is not None:
            os.fchown(descriptor, account.uid, account.gid)
        file = GrowingFile(descriptor)
        for piece in content:
            file.write(piece)
    finally:
        os.close(descriptor)
