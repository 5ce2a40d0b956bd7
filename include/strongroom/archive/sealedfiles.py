"""Sealed files as a file system that DuckDB reads from: it sees plaintext, which never touches a disk."""

from __future__ import annotations

from contextlib import AbstractContextManager
from datetime import UTC, datetime
from typing import Any, BinaryIO

from fsspec import AbstractFileSystem

from strongroom.vault import ObjectReader, StoredObject

PROTOCOL = "sealed"
ROOT = f"{PROTOCOL}://"
_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


class SealedFiles(AbstractFileSystem):  # type: ignore[misc]  # fsspec has no types
    """The files that were added, and no others; they can be read and nothing else.

    What goes wrong while DuckDB reads is kept in `failure`, since DuckDB tells it as text of its own.
    """

    protocol = PROTOCOL
    cachable = False

    def __init__(self, reader: ObjectReader) -> None:
        super().__init__()
        self._reader = reader
        self._files: dict[str, StoredObject] = {}
        self._open_files: list[AbstractContextManager[BinaryIO]] = []
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

    def _open(self, path: str, mode: str = "rb", **_: Any) -> BinaryIO:
        if mode != "rb":
            raise PermissionError("Sealed files can only be read.")
        try:
            opened = self._reader.open_anywhere(self._find(path))
            file = opened.__enter__()
        except BaseException as error:
            self.failure = error
            raise
        return _Watched(file, opened, self)  # type: ignore[return-value]

    def _find(self, path: str) -> StoredObject:
        try:
            return self._files[path.removeprefix(ROOT)]
        except KeyError:
            raise FileNotFoundError(path) from None


class _Watched:
    """An open file that tells the file system of what goes wrong."""

    def __init__(self, file: BinaryIO, opened: AbstractContextManager[BinaryIO], files: SealedFiles) -> None:
        self._file = file
        self._opened = opened
        self._files = files

    def read(self, size: int = -1) -> bytes:
        pieces = bytearray()
        try:
            while size < 0 or len(pieces) < size:
                piece = self._file.read(size - len(pieces) if size >= 0 else -1)
                if not piece:
                    break
                pieces += piece
        except BaseException as error:
            self._files.failure = error
            raise
        return bytes(pieces)

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def close(self) -> None:
        self._opened.__exit__(None, None, None)
