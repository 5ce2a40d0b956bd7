"""The configuration of a restored server: cut off from everything it knew at home, and told where to stop.

The restored directory brings its own `postgresql.conf`, `pg_hba.conf` and `postgresql.auto.conf`, or none of them
(Debian keeps them elsewhere). None is used: what is written here replaces them all. So the server archives
nothing, follows no primary, runs no subscription, loads no library and listens on no network.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from strongroom.backup.restoring.control import control_data
from strongroom.postgres import Cluster

TargetKind = Literal["name", "lsn", "time"]
TargetAction = Literal["promote", "pause", "shutdown"]

NEUTRAL_SETTINGS = {
    "archive_mode": "off",
    "archive_command": "",
    "primary_conninfo": "",
    "shared_preload_libraries": "",
    "max_logical_replication_workers": "0",
    "ssl": "off",
    "autovacuum": "off",
    "hot_standby": "off",
    "logging_collector": "off",
    "log_destination": "stderr",
    "log_timezone": "UTC",
    "lc_messages": "C",
    "log_min_messages": "warning",
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
    "shared_buffers": "128MB",
    "maintenance_work_mem": "128MB",
}
"""What every restored server runs with until somebody takes it over."""

CONFIGURATION_FILES = ("postgresql.conf", "postgresql.auto.conf", "pg_hba.conf", "pg_ident.conf")
_SYNCFS_SINCE = 14
_REMOVED = ("standby.signal", "recovery.conf", "recovery.done", "postmaster.pid", "postmaster.opts")


@dataclass(frozen=True)
class RecoveryTarget:
    """Where recovery stops.

    Args:
        kind: what `value` is: a restore point's name, a position in the log, or a moment.
        value: the name, the LSN, or the moment in RFC 3339 with an offset.
        inclusive: for a position: whether the record that begins there is replayed too; for a moment: whether
            a commit at exactly that moment is.
        timeline: `current`, or the number of the timeline that recovery follows.
        action: what the server does once it is there.
    """

    kind: TargetKind
    value: str
    inclusive: bool = True
    timeline: str = "current"
    action: TargetAction = "promote"

    @classmethod
    def at_name(cls, name: str, *, timeline: str = "current") -> RecoveryTarget:
        """A named restore point, and then a server of its own."""
        return cls("name", name, timeline=timeline)

    def settings(self) -> dict[str, str]:
        """The server's settings that say so."""
        value = self.value
        if self.kind == "time":
            value = f"{datetime.fromisoformat(value).astimezone(UTC):%Y-%m-%d %H:%M:%S.%f}+00"
        return {
            f"recovery_target_{self.kind}": value,
            "recovery_target_inclusive": "on" if self.inclusive else "off",
            "recovery_target_timeline": self.timeline,
            "recovery_target_action": self.action,
            "archive_cleanup_command": "",
            "recovery_end_command": "",
        }


def configure(
    cluster: Cluster,
    target: RecoveryTarget,
    restore_command: str,
    settings: Mapping[str, str] | None = None,
) -> None:
    """Replace all configuration of a restored directory by our own, with the target of its recovery.

    Args:
        cluster: not started.
        restore_command: as `postgresql.conf` has it, with `%f` and `%p`.
        settings: further settings, which outrank the neutral ones.

    Raises:
        RecoveryError: the control file is not readable.
    """
    data_dir = cluster.data_dir
    for name in _REMOVED:
        (data_dir / name).unlink(missing_ok=True)
    own = {
        **NEUTRAL_SETTINGS,
        **control_data(cluster).settings(),
        "hba_file": str(data_dir / "pg_hba.conf"),
        "ident_file": str(data_dir / "pg_ident.conf"),
        **target.settings(),
        "restore_command": restore_command,
        **(settings or {}),
    }
    if cluster.binaries.major >= _SYNCFS_SINCE:
        own["recovery_init_sync_method"] = "syncfs"  # one call, where many small files would take one each
    write_settings(data_dir / "postgresql.conf", own)
    write_file(data_dir / "postgresql.auto.conf", "")
    write_file(data_dir / "pg_hba.conf", "local all all trust\n")
    write_file(data_dir / "pg_ident.conf", "")
    write_file(data_dir / "recovery.signal", "")


def finish_configuration(cluster: Cluster, target: RecoveryTarget, sockets: Path, data_dir: Path) -> None:
    """Write the configuration that a restored cluster is handed over with: still cut off, and autovacuum on.

    One that stays in recovery keeps its target, and the log that it needs in its own `pg_wal`.

    Args:
        cluster: stopped, at its target.
        target: what was asked for.
        sockets: where its socket will be.
        data_dir: where the directory will be.

    Raises:
        RecoveryError: the control file is not readable.
    """
    settings = {
        **NEUTRAL_SETTINGS,
        **control_data(cluster).settings(),
        "autovacuum": "on",
        "hot_standby": "on",
        "listen_addresses": "",
        "unix_socket_directories": str(sockets),
        "unix_socket_permissions": "0700",
        "hba_file": str(data_dir / "pg_hba.conf"),
        "ident_file": str(data_dir / "pg_ident.conf"),
    }
    if target.action != "promote":
        settings |= {**target.settings(), "restore_command": "exit 1"}
    write_settings(cluster.data_dir / "postgresql.conf", settings)


def directory_command(script: Path, wal_dir: Path) -> str:
    """Write a script that takes segments from a directory; gives the `restore_command` that calls it.

    Exit 1 says "the archive ends here", and PostgreSQL believes it; so only a confirmed absence may say it.
    """
    place = shlex.quote(str(wal_dir))
    script.write_text(
        f'if [ -f {place}/"$1" ]; then cp {place}/"$1" "$2" || exit 255; exit 0; fi\n'
        f"[ -d {place} ] && [ -x {place} ] && exit 1\n"
        "exit 255\n"
    )
    script.chmod(0o755)
    return f"/bin/sh {shlex.quote(str(script)).replace('%', '%%')} %f %p"


def write_settings(path: Path, settings: Mapping[str, str]) -> None:
    """Write a configuration file that holds these settings and nothing else."""
    write_file(path, "".join(f"{name} = '{_quoted(value)}'\n" for name, value in settings.items()))


def write_file(path: Path, text: str) -> None:
    """Write a small file that the server can read; one from the backup is replaced, not followed."""
    path.unlink(missing_ok=True)
    path.write_text(text)
    path.chmod(0o644)


def _quoted(value: str) -> str:
    return value.replace("\\", "\\\\").replace("'", "''")
