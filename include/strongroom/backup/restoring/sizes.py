"""How much a restore fetches and writes, how much room it needs, and how long it may take."""

from __future__ import annotations

from collections.abc import Sequence

from strongroom.backup.continuous import ArchivedSegment
from strongroom.backup.manifest import BackupManifest, ManifestObject
from strongroom.backup.restoring.chains import combined_objects
from strongroom.backup.restoring.facts import Rates, RestoreFacts, StoredManifest
from strongroom.backup.restoring.plan import RestorePlan

DATA_ROLES = frozenset({"base", "tablespace", "wal"})
"""What a restore unpacks; fingerprints and the server's manifest are for proofs and for the next backup."""

SPOOL_BYTES = 256 << 20
"""How much of the log is kept ready ahead of recovery, at most (but always two segments)."""

_HEADROOM_BYTES = 256 << 20
_LOG_KEPT_BYTES = 2 << 30
_ASSUMED_UNPACKING = 60e6
_ASSUMED_REPLAY = 30e6


def data_objects(manifest: BackupManifest) -> list[ManifestObject]:
    """The objects of a backup that a restore unpacks."""
    return [item for item in manifest.objects if item.role in DATA_ROLES]


def fetched_bytes(chain: Sequence[StoredManifest]) -> int:
    """How much is fetched of a chain."""
    return sum(item.size_bytes for backup in chain for item in data_objects(backup.manifest))


def written_bytes(chain: Sequence[StoredManifest]) -> int:
    """How much is written of a chain; what it is combined to counts too."""
    return sum(_content_bytes(backup) for backup in chain) + _combined_bytes(chain)


def needed_bytes(
    chain: Sequence[StoredManifest], archived: Sequence[ArchivedSegment], facts: RestoreFacts
) -> int:
    """How much room the directory's disk must have.

    A cluster grows while its log is replayed: the next backup after this one says how large it became.
    """
    growth = max(0, _later_size(chain[-1], facts) - _content_bytes(chain[0]))
    log = min(sum(item.plaintext_bytes for item in archived), _LOG_KEPT_BYTES)
    cluster = written_bytes(chain) + growth
    return cluster + cluster // 20 + log + (SPOOL_BYTES if archived else 0) + _HEADROOM_BYTES


def estimated_seconds(plan: RestorePlan, rates: Rates | None) -> tuple[float, str]:
    """How long it may take, and where that comes from."""
    log_bytes = plan.log.archived * plan.server.segment_bytes
    replay = log_bytes / _ASSUMED_REPLAY
    unpacked = plan.written_bytes - log_bytes
    if rates is None:
        return unpacked / _ASSUMED_UNPACKING + replay + 2, "assumed: no proof has measured it yet"
    seconds = unpacked / rates.unpacked_bytes_per_second + rates.recovery_seconds + replay
    return seconds, f"measured by {rates.proofs} proof{'s' * (rates.proofs > 1)}"


def _content_bytes(backup: StoredManifest) -> int:
    return sum(item.plaintext_bytes for item in data_objects(backup.manifest))


def _combined_bytes(chain: Sequence[StoredManifest]) -> int:
    """No larger than all parts together; nothing for a full backup alone."""
    parts = (item.plaintext_bytes for backup in chain for item in combined_objects(backup.manifest))
    return sum(parts) if len(chain) > 1 else 0


def _later_size(backup: StoredManifest, facts: RestoreFacts) -> int:
    """The size of the first full backup of the same cluster after this one; 0 when there is none."""
    server = backup.manifest.server
    later = (
        item
        for item in facts.backups
        if item.id > backup.id
        and item.manifest.kind == "full"
        and item.manifest.server.system_identifier == server.system_identifier
    )
    return next((_content_bytes(item) for item in later), 0)
