"""Sealed files as a file system that DuckDB reads from: it sees plaintext, which never touches a disk."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from typing import Any, BinaryIO

from fsspec import AbstractFileSystem

from strongroom.vault import ObjectReader, StoredObject

PROTOCOL = "sealed"
ROOT = f"{PROTOCOL}://"
_OPEN_FILES = 4
"""Each has two MiB of windows."""
_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


class SealedFiles(AbstractFileSystem):  # type: ignore[misc]  # fsspec has no types
    """The files that were added, and no others; they can be read and nothing else.

    DuckDB reads ahead with threads of its own, whatever it is told about threads: one of them at a time gets through.
    What goes wrong while DuckDB reads is kept in `failure`, since DuckDB tells it as text of its own.
    """

    protocol = PROTOCOL
    cachable = False

    def __init__(self, reader: ObjectReader) -> None:
        super().__init__()
        self._reader = reader
        self._files: dict[str, StoredObject] = {}
        self._open_files: OrderedDict[str, tuple[AbstractContextManager[BinaryIO], BinaryIO]] = OrderedDict()
        self._one_at_a_time = threading.RLock()
        self.failure: BaseException | None = None

    def add(self, reference: StoredObject) -> str:
        """Let a sealed file be read; the address to read it by."""
        address = f"{ROOT}{len(self._files)}.parquet"
        self._files[address.removeprefix(ROOT)] = reference
        return address

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        """A file's name and size."""
        reference = self._find(path)
        return {"name": path, "size": reference.plaintext_bytes, "type": "file"}

    def modified(self, path: str) -> datetime:
        """Always the same: sealed files do not change."""
        self._find(path)
        return _LONG_AGO

    def exists(self, path: str, **_: Any) -> bool:
        """Whether a file was added."""
        return path.removeprefix(ROOT) in self._files

    def read_at(self, path: str, position: int, size: int) -> bytes:
        """Some bytes of a file's content; fewer at its end."""
        with self._one_at_a_time:
            try:
                file = self._opened(path)
                file.seek(position)
                pieces = bytearray()
                while len(pieces) < size and (piece := file.read(size - len(pieces))):
                    pieces += piece
            except BaseException as error:
                self.failure = error
                raise
        return bytes(pieces)

    def close(self) -> None:
        """Close all files."""
        with self._one_at_a_time:
            while self._open_files:
                self._close_oldest()

    def _open(self, path: str, mode: str = "rb", **_: Any) -> SealedFile:
        if mode != "rb":
            raise PermissionError("Sealed files can only be read.")
        return SealedFile(self, path, self._find(path).plaintext_bytes)

    def _opened(self, path: str) -> BinaryIO:
        if path not in self._open_files:
            opened = self._reader.open_anywhere(self._find(path))
            self._open_files[path] = opened, opened.__enter__()
            if len(self._open_files) > _OPEN_FILES:
                self._close_oldest()
        self._open_files.move_to_end(path)
        return self._open_files[path][1]

    def _close_oldest(self) -> None:
        _, (opened, _) = self._open_files.popitem(last=False)
        opened.__exit__(None, None, None)

    def _find(self, path: str) -> StoredObject:
        try:
            return self._files[path.removeprefix(ROOT)]
        except KeyError:
            raise FileNotFoundError(path) from None


class _Place(threading.local):
    """Where a thread is in a file."""

    position = 0


class SealedFile:
    """A file as DuckDB holds it: a place in it. DuckDB holds hundreds; few of them are really open at a time.

    Several threads use one, each going to a place and reading there: each has its own place.
    """

    def __init__(self, files: SealedFiles, path: str, size_bytes: int) -> None:
        self._files = files
        self._path = path
        self._size_bytes = size_bytes
        self._place = _Place()

    def read(self, size: int = -1) -> bytes:
        """At most `size` bytes from here on; all that follow without it."""
        data = self._files.read_at(self._path, self._place.position, self._size_bytes if size < 0 else size)
        self._place.position += len(data)
        return data

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go elsewhere."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._place.position, os.SEEK_END: self._size_bytes}[whence]
        self._place.position = base + offset
        return self._place.position

    def tell(self) -> int:
        """Where it is."""
        return self._place.position

    def close(self) -> None:
        """Nothing is open on its own account."""
