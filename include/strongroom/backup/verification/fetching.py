"""L0 and L1: the objects are there, are the ones the manifest names, and open. One pass does both, and unpacks."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import closing

from strongroom.backup.fingerprints import FingerprintDocument, parse_fingerprints
from strongroom.backup.manifest import BackupManifest, ManifestObject
from strongroom.backup.restoring.chains import combined_objects, needed_bytes, unpack_part
from strongroom.backup.restoring.errors import BrokenArchiveError, UnsafeArchiveError
from strongroom.backup.restoring.unpacking import unpack_tar
from strongroom.backup.server_manifest import ServerManifest
from strongroom.backup.verification.recorder import LevelReport
from strongroom.backup.verification.run import RestoreRun
from strongroom.errors import IntegrityError, NotFoundError
from strongroom.postgres import ScratchFullError, free_bytes
from strongroom.postgres.account import own_directory
from strongroom.storage.errors import ChecksumMismatchError, ObjectNotFoundError
from strongroom.vault import ObjectReplacedError, UnknownObjectError

Buffer = bytes | bytearray | memoryview

_ALTERED = (ObjectReplacedError, ChecksumMismatchError, UnknownObjectError, ObjectNotFoundError)
FINGERPRINT_LIMIT_BYTES = 128 << 20
_HEADROOM_BYTES = 512 << 20
"""For the log that the scratch server writes itself, its checkpoint and the index that amcheck builds."""
_OLDER = "Verify an older backup, take a new one, and look at who can write to the bucket."


def check_presence(run: RestoreRun, report: LevelReport) -> None:
    """Ask the store for every object's size before anything is fetched."""
    for name, item in _needed(run):
        try:
            found = run.objects.head(item)
        except ObjectNotFoundError:
            report.failed(f"{name} present", f"{item.key} is not in the bucket. {_OLDER}")
            continue
        if found.size_bytes != item.size_bytes and found.size_bytes not in _sizes(run, item):
            report.failed(
                f"{name} present",
                f"{item.key} has {found.size_bytes} bytes instead of {item.size_bytes}: it was cut off or"
                f" replaced. {_OLDER}",
            )
        else:
            report.passed(f"{name} present", "there, with its size", {"bytes": found.size_bytes})


def _sizes(run: RestoreRun, item: ManifestObject) -> set[int]:
    """The sizes that an object may have, when it was rewrapped to other keys since the manifest was written."""
    return {size for size, _ in run.objects.forms(item)}


def _needed(run: RestoreRun) -> Iterator[tuple[str, ManifestObject]]:
    """The objects that the restore needs, each with its name in the proof; those of ancestors first."""
    for manifest in run.ancestors:
        for item in combined_objects(manifest):
            yield f"{manifest.backup_id}/{item.name}", item
    for item in run.manifest.objects:
        yield item.name, item


def check_room(run: RestoreRun, *, growth: int = 1) -> None:
    """Compare what the restore needs with what the scratch area has.

    Args:
        growth: how many times the backup's content the restored server takes.

    Raises:
        ScratchFullError: it will not fit; the message has both numbers.
    """
    root = run.scratch.directory.parent
    content_bytes = max(needed_bytes(run.layout.chain), growth * run.manifest.plaintext_bytes)
    needed = content_bytes + content_bytes // 20 + _HEADROOM_BYTES
    available = free_bytes(root)
    if available < needed:
        raise ScratchFullError(
            f"The scratch area {root} has {_mib(available)} free; restoring {run.manifest.backup_id}"
            f" needs {_mib(needed)}.",
            hint="Free some room, or name a larger place with the setting `scratch_directory`.",
        )


def fetch_all(run: RestoreRun, presence: LevelReport, opening: LevelReport) -> None:
    """Fetch every object once: hash it, decrypt it, decompress it, and put its content where it belongs.

    Args:
        presence: L0's report, for objects whose bytes are not the recorded ones.
        opening: L1's report, for objects that do not open.
    """
    start = time.perf_counter()
    restored = 0
    for name, item in _needed(run):
        try:
            restored += _fetch(run, item)
        except (IntegrityError, NotFoundError) as error:
            explain(run, item, error, presence, opening, name)
            return
        presence.passed(f"{name} hash", "the bytes that the manifest names")
        opening.passed(f"{name} opens", "decrypts and decompresses to its end")
    run.fetch_and_unpack_seconds = time.perf_counter() - start
    run.restored_bytes = restored


def _fetch(run: RestoreRun, item: ManifestObject) -> int:
    with run.objects.open(item) as content:
        if item.role == "fingerprints":
            run.fingerprints = read_fingerprints(content)
            return item.plaintext_bytes
        if item.role == "server_manifest":
            wanted = run.manifest.server_manifest_sha256 or ""
            with closing(ServerManifest.of(content, wanted)) as manifest:
                return manifest.size_bytes
        if item.role == "wal":
            own_directory(run.wal_dir, run.scratch.account, setting="scratch_directory")
            return unpack_tar(content, run.wal_dir, run.scratch.account).file_bytes
        return unpack_part(run.layout, _owner(run, item), item, content)


def _owner(run: RestoreRun, item: ManifestObject) -> BackupManifest:
    """The backup of the chain that an object belongs to."""
    return next(manifest for manifest in run.layout.chain if item in manifest.objects)


def read_fingerprints(content: Iterable[Buffer]) -> FingerprintDocument:
    """A backup's fingerprints, from their opened object.

    Raises:
        BrokenArchiveError: there is more than any cluster's can be.
        ManifestError: they are none.
    """
    data = bytearray()
    for piece in content:
        data += piece
        if len(data) > FINGERPRINT_LIMIT_BYTES:
            raise BrokenArchiveError("The fingerprints are larger than any cluster's can be.")
    return parse_fingerprints(bytes(data))


def explain(
    run: RestoreRun,
    item: ManifestObject,
    error: IntegrityError | NotFoundError,
    presence: LevelReport,
    opening: LevelReport,
    name: str | None = None,
) -> None:
    """Say which of the two it is: other bytes than were stored, or the right bytes that do not open.

    Args:
        presence: L0's report.
        opening: L1's report.
        name: the object's name in the proof, where that is not its own.
    """
    name = name or item.name
    if isinstance(error, (UnsafeArchiveError, BrokenArchiveError)):
        opening.failed_with(f"{name} unpacks", error)
        return
    if isinstance(error, _ALTERED):
        presence.failed_with(f"{name} hash", error)
        return
    opening.failed_with(f"{name} opens", error)
    if run.objects.sealed_sha256(item) in {sha256 for _, sha256 in run.objects.forms(item)}:
        presence.passed(f"{name} hash", "the bytes that the manifest names")
    else:
        presence.failed(f"{name} hash", f"{item.key} holds other bytes than the backup wrote. {_OLDER}")


def _mib(number: int) -> str:
    return f"{number / (1 << 20):,.0f} MiB"
