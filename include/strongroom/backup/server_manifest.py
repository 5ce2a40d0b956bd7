"""PostgreSQL's own manifest of a base backup, kept outside of it for the incremental backup that comes next.

It lists every file with its size and checksum, so it grows with the cluster: it is spooled to an unlinked file, and
handed on in pieces. Three copies are made of it: in the base backup itself, sealed beside it for hosts with a key,
and compressed in the control database for the host that writes backups and can open nothing.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import IO

import zstandard

from strongroom.backup.errors import ManifestError

Buffer = bytes | bytearray | memoryview

SERVER_MANIFEST_NAME = "backup_manifest.zst.age"
FIRST_MAJOR = 17
"""The first version whose manifests an incremental backup can start from."""
_PIECE_BYTES = 1 << 20
_LIMIT_BYTES = 4 << 30
_LEVEL = 3


@dataclass(frozen=True)
class CompressedManifest:
    """A backup_manifest as the control database keeps it."""

    sha256: str
    """Of the manifest itself."""
    pieces: tuple[bytes, ...]


class ServerManifest:
    """A backup_manifest in an unlinked temporary file, which is gone when this is closed."""

    def __init__(self) -> None:
        self._file: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `close`
        self._digest = hashlib.sha256()
        self.size_bytes = 0

    @classmethod
    def of(cls, pieces: Iterable[Buffer], sha256: str) -> ServerManifest:
        """The manifest in these pieces, when they are the expected ones.

        Raises:
            ManifestError: they are others.
        """
        manifest = cls()
        try:
            for piece in pieces:
                manifest.write(piece)
            if manifest.sha256 != sha256:
                raise ManifestError("PostgreSQL's manifest of the backup is not the one that was recorded.")
        except BaseException:
            manifest.close()
            raise
        return manifest

    @classmethod
    def decompressed(cls, pieces: Iterable[bytes], sha256: str) -> ServerManifest:
        """As `of`, from what `compressed` gave.

        Raises:
            ManifestError: they are others, or cannot be decompressed.
        """
        try:
            return cls.of(_decompressed(pieces), sha256)
        except zstandard.ZstdError as error:
            raise ManifestError("PostgreSQL's manifest of the backup does not decompress.") from error

    @property
    def sha256(self) -> str:
        """Of its bytes, in hexadecimal."""
        return self._digest.hexdigest()

    def write(self, piece: Buffer) -> None:
        """Append a piece."""
        self.size_bytes += len(piece)
        if self.size_bytes > _LIMIT_BYTES:
            raise ManifestError("PostgreSQL's manifest of the backup is larger than any cluster's can be.")
        self._digest.update(piece)
        self._file.write(piece)

    def pieces(self) -> Iterator[bytes]:
        """Its bytes, from the beginning, at most 1 MiB at a time."""
        self._file.seek(0)
        while piece := self._file.read(_PIECE_BYTES):
            yield piece

    def compressed(self) -> Iterator[bytes]:
        """Its bytes compressed (zstd), in pieces of about 1 MiB."""
        compressor = zstandard.ZstdCompressor(level=_LEVEL).compressobj()
        ready = bytearray()
        for piece in self.pieces():
            ready += compressor.compress(piece)
            if len(ready) >= _PIECE_BYTES:
                yield bytes(ready)
                ready.clear()
        yield bytes(ready) + compressor.flush()

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()


def _decompressed(pieces: Iterable[bytes]) -> Iterator[bytes]:
    decompressor = zstandard.ZstdDecompressor().decompressobj()
    for piece in pieces:
        for start in range(0, len(piece), _PIECE_BYTES // 16):
            yield decompressor.decompress(piece[start : start + _PIECE_BYTES // 16])
    if not decompressor.eof:
        raise zstandard.ZstdError("it ends early")
