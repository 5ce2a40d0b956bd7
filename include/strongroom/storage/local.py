"""A store in a directory of this machine.

    <directory>/<key>                   the objects, under their own names
    <directory>/.strongroom/writing/    files that are being written; renamed when whole
    <directory>/.strongroom/lock        held while a file gets or loses its name

A new object is linked to its name (`link` fails if the name is taken, so of two writers exactly one wins); an
overwriting one is renamed over it. Both after the file was flushed, and the directory is flushed after that.
"""

from __future__ import annotations

import builtins
import fcntl
import io
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, NoReturn

from strongroom.storage.errors import (
    BucketNotFoundError,
    InvalidKeyError,
    ObjectExistsError,
    ObjectNotFoundError,
    PreconditionFailedError,
    StoreError,
    StoreUnavailableError,
    UnsupportedError,
)
from strongroom.storage.interface import (
    DEFAULT_MAX_BYTES,
    Buffer,
    Condition,
    ObjectInfo,
    ObjectStore,
    Retention,
    StoreCapabilities,
)
from strongroom.storage.keys import HIDDEN, check_key, check_prefix
from strongroom.storage.localfiles import (
    check_content,
    info_of,
    make_directories,
    recorded_checksum,
    store_fault,
    sync_directory,
    write_aside,
)


class LocalObjectStore(ObjectStore):
    """Objects as files below one directory. No versions, no Object Lock, no legal hold.

    Args:
        directory: where the objects are; made if it is missing, unless `create` is False.
        create: whether a missing directory is made. False catches a disk that is not mounted.

    Raises:
        BucketNotFoundError: the directory does not exist and `create` is False.
    """

    def __init__(self, directory: Path, *, create: bool = True) -> None:
        self._root = directory.absolute()
        self.url = self._root.as_uri()
        self._writing = self._root / HIDDEN / "writing"
        self._lock = self._root / HIDDEN / "lock"
        if not create and not self._root.is_dir():
            raise BucketNotFoundError(
                f"the store's directory {self._root} does not exist",
                hint="Is its disk mounted? Make the directory, or correct the setting.",
            )
        with _faults("the store's directory"):
            self._writing.mkdir(parents=True, exist_ok=True, mode=0o700)

    def capabilities(self) -> StoreCapabilities:
        return StoreCapabilities(versioning=False, object_lock=False, conditional_writes=True)

    def put_stream(
        self,
        key: str,
        chunks: Iterable[Buffer],
        *,
        condition: Condition = Condition.IF_ABSENT,
        retention: Retention | None = None,
    ) -> ObjectInfo:
        target = self._path(key)
        if retention is not None:
            _unsupported("retention")
        with _faults(key):
            self._check(target, key, condition)
        with _faults(key, source=chunks) as guarded:
            aside = write_aside(self._writing, guarded)
        try:
            with _faults(key):
                return self._publish(aside, target, key, condition)
        finally:
            aside.unlink(missing_ok=True)

    def put_bytes(
        self,
        key: str,
        data: bytes,
        *,
        condition: Condition = Condition.IF_ABSENT,
        retention: Retention | None = None,
    ) -> ObjectInfo:
        return self.put_stream(key, [data], condition=condition, retention=retention)

    def _publish(self, aside: Path, target: Path, key: str, condition: Condition) -> ObjectInfo:
        """Give a whole file its name, if the condition still holds."""
        with self._locked():
            self._check(target, key, condition)
            self._make_room(target, key)
            if condition.kind == "if_absent":
                try:
                    os.link(aside, target)
                except FileExistsError:
                    _taken(key)
            else:
                aside.replace(target)
            sync_directory(target.parent)
            return info_of(key, target)

    def _make_room(self, target: Path, key: str) -> None:
        """Make the directories the object needs, if no other object's key is one of them."""
        try:
            make_directories(target.parent, self._root)
            clash = target.is_dir()
        except (FileExistsError, NotADirectoryError):
            clash = True
        if clash:
            raise InvalidKeyError(
                f"{key!r} cannot be kept in a local directory beside the objects there",
                hint="One object's key is a folder of another's: choose another key.",
            )

    def _check(self, target: Path, key: str, condition: Condition) -> None:
        if condition.kind == "if_absent" and target.is_file():
            _taken(key)
        if condition.kind == "if_match":
            current = self._info_or_none(key, target)
            if current is None or current.etag != condition.etag:
                raise PreconditionFailedError(
                    f"{key!r} was changed by somebody else in between",
                    hint="Read it again, then decide again.",
                )

    def _info_or_none(self, key: str, path: Path) -> ObjectInfo | None:
        try:
            return info_of(key, path)
        except (FileNotFoundError, NotADirectoryError):
            return None

    def open_range(
        self, key: str, start_byte: int = 0, length_bytes: int | None = None, *, version_id: str | None = None
    ) -> BinaryIO:
        path = self._path(key, version_id)
        with _faults(key):
            info_of(key, path)
            file = path.open("rb", buffering=0)
        file.seek(start_byte)
        return io.BufferedReader(_Limited(file, key, length_bytes), 256 * 1024)

    def get_bytes(
        self, key: str, *, max_bytes: int = DEFAULT_MAX_BYTES, version_id: str | None = None
    ) -> bytes:
        path = self._path(key, version_id)
        with _faults(key):
            info_of(key, path)
            with path.open("rb") as file:
                data = file.read(max_bytes + 1)
                if len(data) > max_bytes:
                    raise StoreError(f"{key!r} is larger than the {max_bytes} bytes that may be read at once")
                return check_content(key, data, recorded_checksum(file.fileno()))

    def head(self, key: str, *, version_id: str | None = None) -> ObjectInfo:
        path = self._path(key, version_id)
        with _faults(key):
            return info_of(key, path)

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        check_prefix(prefix)
        self._require_root()
        folder, _, _ = prefix.rpartition("/")
        start = self._root / folder if folder else self._root
        with _faults(prefix or "/"):
            if start.is_dir():
                yield from self._walk(start, f"{folder}/" if folder else "", prefix)

    def _walk(self, directory: Path, base: str, prefix: str) -> Iterator[ObjectInfo]:
        """Files below a directory in the order of their keys; one that goes away meanwhile is not there."""
        for name, is_directory in _entries(directory):
            key = f"{base}{name}"
            if is_directory and key != HIDDEN:
                if key.startswith(prefix) or prefix.startswith(f"{key}/"):
                    yield from self._walk(directory / name, f"{key}/", prefix)
            elif key.startswith(prefix) and not is_directory:
                info = self._info_or_none(key, directory / name)
                if info is not None:
                    yield info

    def list_versions(self, prefix: str) -> Iterator[ObjectInfo]:
        return self.list(prefix)

    def delete_version(self, key: str, version_id: str | None) -> None:
        path = self._path(key, version_id)
        self._require_root()
        with _faults(key), self._locked():
            if self._info_or_none(key, path) is None:
                return
            path.unlink(missing_ok=True)
            sync_directory(path.parent)
            self._remove_empty(path.parent)

    def _remove_empty(self, directory: Path) -> None:
        """Remove the directories that have become empty, as a store of keys has none."""
        while directory != self._root:
            try:
                directory.rmdir()
            except OSError:
                return
            directory = directory.parent

    def abort_incomplete_uploads(self, prefix: str) -> int:
        """Remove what killed writers left, wherever they meant to put it.

        Files of processes that are still alive stay.
        """
        check_prefix(prefix)
        removed = 0
        with _faults("the hidden folder"):
            for path in self._writing.iterdir():
                if not _alive(path.name.partition("-")[0]):
                    path.unlink(missing_ok=True)
                    removed += 1
        return removed

    def set_hold(self, key: str, held: bool, *, version_id: str | None = None) -> None:
        _unsupported("legal holds")

    def extend_retention(self, key: str, retention: Retention, *, version_id: str | None = None) -> None:
        _unsupported("retention")

    def _path(self, key: str, version_id: str | None = None) -> Path:
        path = self._root / check_key(key)
        if version_id is not None:
            raise ObjectNotFoundError(
                f"there is no version {version_id!r} of {key!r}", hint="A local store keeps no versions."
            )
        return path

    def _require_root(self) -> None:
        if not self._writing.is_dir():
            raise StoreUnavailableError(
                f"the store's directory {self._root} is gone", hint="Is its disk still mounted?"
            )

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Keep every other process from giving or taking a name meanwhile."""
        descriptor = os.open(self._lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


class _Limited(io.RawIOBase):
    """A part of a file, from where it stands."""

    def __init__(self, file: io.FileIO, key: str, length_bytes: int | None) -> None:
        self._file, self._key, self._left = file, key, length_bytes

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # what io.BufferedReader passes
        view = memoryview(buffer)
        if self._left is not None:
            view = view[: self._left]
        with _faults(self._key):
            count = self._file.readinto(view) or 0
        if self._left is not None:
            self._left -= count
        return count

    def close(self) -> None:
        self._file.close()
        super().close()


class _SourceFault(Exception):
    """An OSError out of the producer: not the disk's, so it passes through as it is."""

    def __init__(self, fault: OSError) -> None:
        self.fault = fault


@contextmanager
def _faults(key: str, source: Iterable[Buffer] = ()) -> Iterator[Iterable[Buffer]]:
    """Turn the disk's errors into the store's own, and let those of the producer through unchanged."""
    try:
        yield _guarded(source)
    except _SourceFault as wrapped:
        raise wrapped.fault from None
    except OSError as fault:
        raise store_fault(fault, key) from fault


def _guarded(source: Iterable[Buffer]) -> Iterator[Buffer]:
    try:
        yield from source
    except OSError as fault:
        raise _SourceFault(fault) from fault


def _entries(directory: Path) -> builtins.list[tuple[str, bool]]:
    """A directory's entries in the order of the keys below them: a directory sorts as its name with a slash."""
    found: builtins.list[tuple[str, bool]] = []
    with suppress(FileNotFoundError), os.scandir(directory) as entries:
        found = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
    return sorted(found, key=lambda entry: f"{entry[0]}/" if entry[1] else entry[0])


def _alive(process_id: str) -> bool:
    try:
        os.kill(int(process_id), 0)
    except (ValueError, ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True


def _taken(key: str) -> NoReturn:
    raise ObjectExistsError(
        f"there is an object {key!r} already", hint="Objects are written once; use a new key."
    )


def _unsupported(feature: str) -> NoReturn:
    raise UnsupportedError(
        f"a local directory has no {feature}",
        hint="Use an S3 bucket with Object Lock, or drop it from the policy.",
    )
