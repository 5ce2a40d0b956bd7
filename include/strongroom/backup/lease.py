"""The lease of backups: who cannot have it is told that a backup is in progress."""

from __future__ import annotations

from strongroom.backup.errors import BackupInProgressError
from strongroom.lifetimes import lease


class Lease(lease.Lease):
    """As every lease; taking it raises `BackupInProgressError` while another run has it."""

    def _in_progress(self, why: str) -> BackupInProgressError:
        return BackupInProgressError(
            f"A backup of this database is in progress ({self._key}: {why}).",
            hint="Wait for it; `strongroom backup list` shows what it made.",
        )


lease_key = lease.lease_key

__all__ = ["Lease", "lease_key"]
