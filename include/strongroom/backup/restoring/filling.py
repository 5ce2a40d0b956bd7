"""Making a data directory of a backup's objects."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from strongroom.backup.manifest import BackupManifest
from strongroom.backup.restoring.chains import ChainLayout, combine, combined_objects, unpack_part
from strongroom.backup.restoring.errors import BrokenArchiveError
from strongroom.backup.restoring.objects import BackupObjects
from strongroom.backup.restoring.place import RestorePlace
from strongroom.backup.restoring.tablespaces import settle_tablespaces
from strongroom.backup.restoring.unpacking import unpack_tar
from strongroom.postgres import ServerBinaries
from strongroom.postgres.account import own_directory

Buffer = bytes | bytearray | memoryview
Told = Callable[[int], None]


@dataclass(frozen=True)
class Filling:
    """What a data directory is made from.

    Args:
        chain: the backups' manifests, the full one first.
        objects: where their objects come from.
        binaries: the programs of the server's major version.
        told: told how many bytes were written so far.
    """

    chain: tuple[BackupManifest, ...]
    objects: BackupObjects
    binaries: ServerBinaries
    told: Told


def fill(place: RestorePlace, filling: Filling, wal_directory: Path) -> int:
    """Make the place's incomplete data directory of a backup or a chain, and unpack its own log into a directory.

    Tablespaces go below the place too, never to where they are at the source.

    Returns:
        How many bytes of files were written.

    Raises:
        IntegrityError: an object was altered, truncated or swapped, or is no archive of a backup.
        OSError: writing failed, for instance because the disk is full.
    """
    written = _Written(filling.told)
    layout = ChainLayout(filling.chain, place.incomplete, place.staging, place.account)
    own_directory(place.incomplete, place.account, setting="--into")
    for manifest in filling.chain:
        for item in combined_objects(manifest):
            with filling.objects.open(item) as content:
                size = unpack_part(layout, manifest, item, written.count(content))
            if size == 0 and item.role == "base":
                raise BrokenArchiveError(f"The archive {item.key} holds no file.")
    combine(layout, filling.binaries)
    settle_tablespaces(place.incomplete, place.tablespaces, place.account)
    with filling.objects.open(filling.chain[-1].object("wal")) as content:
        unpack_tar(written.count(content), wal_directory, place.account)
    return written.total


class _Written:
    def __init__(self, told: Told) -> None:
        self.total = 0
        self._told = told

    def count(self, content: Iterable[Buffer]) -> Iterator[Buffer]:
        for piece in content:
            yield piece
            self.total += len(piece)
            self._told(self.total)
