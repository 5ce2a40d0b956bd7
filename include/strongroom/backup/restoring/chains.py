"""Making one data directory of a chain: every part unpacked on its own, then put together by `pg_combinebackup`.

    <staging>/<backup id>/    one for each backup of the chain, as PostgreSQL would have unpacked it
    <data directory>          what they are combined to

A full backup alone is unpacked straight into the data directory.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from strongroom.backup.chains import COMBINED_ROLES
from strongroom.backup.manifest import BackupManifest, ManifestObject
from strongroom.backup.restoring.errors import CombiningError
from strongroom.backup.restoring.tablespaces import tablespace_directory
from strongroom.backup.restoring.unpacking import unpack_tar
from strongroom.postgres import ScratchFullError, ServerBinaries, ServiceAccount, run_as
from strongroom.postgres.account import own_directory
from strongroom.postgres.cluster import remove_tree

Buffer = bytes | bytearray | memoryview
_LINKS_SINCE = 18
_FULL_DISK = ("No space left on device", "Disk quota exceeded")


@dataclass(frozen=True)
class ChainLayout:
    """Where the parts of a chain go.

    Args:
        chain: the manifests, the full backup first; its last is the backup that is restored.
        data_dir: of the cluster that comes out.
        staging: where the parts are unpacked, on the same disk; used for chains only.
        account: who owns what is unpacked; None for ourselves.
    """

    chain: tuple[BackupManifest, ...]
    data_dir: Path
    staging: Path
    account: ServiceAccount | None

    def directory(self, manifest: BackupManifest) -> Path:
        """Where a backup of the chain is unpacked."""
        return self.data_dir if len(self.chain) == 1 else self.staging / manifest.backup_id

    @property
    def newest(self) -> Path:
        """Where the backup that is restored is unpacked: its log lies there until the chain is combined."""
        return self.directory(self.chain[-1])

    @property
    def parts(self) -> tuple[Path, ...]:
        """The directories that are combined, the full backup's first."""
        return tuple(self.directory(manifest) for manifest in self.chain)


def combined_objects(manifest: BackupManifest) -> tuple[ManifestObject, ...]:
    """The objects of a backup that those above it need, in the order in which they are unpacked."""
    return tuple(item for role in COMBINED_ROLES for item in manifest.having(role))


def needed_bytes(chain: Sequence[BackupManifest]) -> int:
    """The most room that a chain can need while it is restored, without recovery's own.

    A combined cluster is no larger than all its parts together. With links or without, both are there for a while.
    """
    parts = sum(item.plaintext_bytes for manifest in chain for item in combined_objects(manifest))
    log = sum(item.plaintext_bytes for item in chain[-1].having("wal"))
    return log + (parts if len(chain) == 1 else 2 * parts)


def unpack_part(
    layout: ChainLayout, manifest: BackupManifest, item: ManifestObject, content: Iterable[Buffer]
) -> int:
    """Unpack the base or a tablespace of a backup to where it belongs.

    Returns:
        How many bytes its files have.

    Raises:
        UnsafeArchiveError, BrokenArchiveError: it is no archive of a backup.
        OSError: writing failed, for instance because the disk is full.
    """
    directory = layout.directory(manifest)
    if not directory.is_dir():
        own_directory(layout.staging, layout.account, setting="scratch_directory")
        own_directory(directory, layout.account, setting="scratch_directory")
    if item.tablespace_oid is not None:
        directory = tablespace_directory(directory, item.tablespace_oid, layout.account)
    return unpack_tar(content, directory, layout.account).file_bytes


def combine(layout: ChainLayout, binaries: ServerBinaries, *, durable: bool = True) -> None:
    """Put the parts of a chain together in the data directory, and delete them. A full backup is complete as it is.

    Args:
        layout: all parts are unpacked.
        binaries: the programs of the server's major version.
        durable: whether to force the result to disk.

    Raises:
        CombiningError: they do not fit together.
        ScratchFullError: the disk filled up.
    """
    if len(layout.chain) == 1:
        return
    arguments: list[str | Path] = [*layout.parts, f"--output={layout.data_dir}"]
    if binaries.major >= _LINKS_SINCE:
        arguments.append("--link")  # files that did not change are not copied; the parts go away at once
    if not durable:
        arguments.append("--no-sync")
    done = run_as(layout.account, [binaries.tool("pg_combinebackup"), *arguments])
    if done.returncode != 0:
        raise _failure(layout, done.stderr.strip()[-600:])
    remove_tree(layout.staging)


def _failure(layout: ChainLayout, said: str) -> CombiningError | ScratchFullError:
    if any(phrase in said for phrase in _FULL_DISK):
        return ScratchFullError(
            f"The disk of {layout.data_dir.parent} filled up while the chain was combined.",
            hint="Free some room, or choose a larger place.",
        )
    return CombiningError(
        f"The backups of the chain of {layout.chain[0].backup_id} do not fit together: {said}",
        hint="Restore a backup of another chain, and take a new full backup.",
    )
