"""A data directory's control file, as `pg_controldata` prints it."""

from __future__ import annotations

from dataclasses import dataclass

from strongroom.backup.restoring.errors import RecoveryError
from strongroom.postgres import Cluster, run_as

_SETTINGS = {
    "max_connections": "max_connections setting",
    "max_worker_processes": "max_worker_processes setting",
    "max_wal_senders": "max_wal_senders setting",
    "max_prepared_transactions": "max_prepared_xacts setting",
    "max_locks_per_transaction": "max_locks_per_xact setting",
}


@dataclass(frozen=True)
class ControlData:
    """What `pg_controldata` prints, by its labels."""

    values: dict[str, str]

    @property
    def system_identifier(self) -> int:
        """The cluster's identity."""
        return int(self.values["Database system identifier"])

    @property
    def checksums(self) -> bool:
        """Whether pages carry checksums."""
        return self.values.get("Data page checksum version", "0") != "0"

    @property
    def state(self) -> str:
        """What the server did last, for instance `shut down` or `in archive recovery`."""
        return self.values["Database cluster state"]

    @property
    def timeline(self) -> int:
        """The timeline of the latest checkpoint."""
        return int(self.values["Latest checkpoint's TimeLineID"])

    def settings(self) -> dict[str, str]:
        """The settings without which the cluster's own log cannot be replayed, or the server would not start."""
        own = {name: self.values[label] for name, label in _SETTINGS.items() if label in self.values}
        segment_mib = int(self.values["Bytes per WAL segment"]) >> 20
        sizes = {"min_wal_size": max(80, 2 * segment_mib), "max_wal_size": max(1024, 4 * segment_mib)}
        return own | {name: f"{size}MB" for name, size in sizes.items()}


def control_data(cluster: Cluster) -> ControlData:
    """Read a data directory's control file.

    Raises:
        RecoveryError: it is not readable.
    """
    done = run_as(cluster.account, [cluster.binaries.tool("pg_controldata"), "-D", cluster.data_dir])
    if done.returncode != 0:
        raise RecoveryError(
            f"The restored control file is not readable: {done.stderr.strip()[-300:]}",
            hint="The backup is not whole. Verify an older one, and take a new one.",
        )
    pairs = (line.split(":", 1) for line in done.stdout.splitlines() if ":" in line)
    return ControlData({label.strip(): value.strip() for label, value in pairs})
