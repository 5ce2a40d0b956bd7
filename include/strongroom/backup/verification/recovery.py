"""L3: recovering a scratch server to the backup's restore point, cut off from everything it knew at home.

The restored directory brings its own `postgresql.conf`, `pg_hba.conf` and `postgresql.auto.conf`, or none of them
(Debian keeps them elsewhere). None is used: what is written here replaces them all. So the scratch server archives
nothing, follows no primary, runs no subscription, loads no library and listens on no network.
"""

from __future__ import annotations

import re
import shlex
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from strongroom.backup.verification.errors import RecoveryError
from strongroom.postgres import (
    Cluster,
    DatabaseUnreachableError,
    Scratch,
    ScratchFullError,
    ServerStartError,
    connect,
    parse_lsn,
    run_as,
)

RECOVERY_TIMEOUT_SECONDS = 24 * 3600.0

_CONTROL_SETTINGS = {
    "max_connections": "max_connections setting",
    "max_worker_processes": "max_worker_processes setting",
    "max_wal_senders": "max_wal_senders setting",
    "max_prepared_transactions": "max_prepared_xacts setting",
    "max_locks_per_transaction": "max_locks_per_xact setting",
}
_SETTINGS = {
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
    "max_wal_size": "1GB",
}
_TARGET_MISSED = "recovery ended before configured recovery target was reached"
_REMOVED = ("standby.signal", "recovery.conf", "recovery.done", "postmaster.pid", "postmaster.opts")
_STOPPED = re.compile(
    r'recovery stopping at restore point "(?P<name>[^"]+)", time (?P<time>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d+)?)'
)
_HISTORY = re.compile(
    r'^\d+\t(?P<lsn>[0-9A-F]+/[0-9A-F]+)\tat restore point "(?P<name>[^"]+)"$', re.MULTILINE
)


@dataclass(frozen=True)
class ControlData:
    """What `pg_controldata` prints."""

    values: dict[str, str]

    @property
    def system_identifier(self) -> int:
        """The cluster's identity."""
        return int(self.values["Database system identifier"])

    @property
    def checksums(self) -> bool:
        """Whether pages carry checksums."""
        return self.values.get("Data page checksum version", "0") != "0"

    def settings(self) -> dict[str, str]:
        """The settings without which the cluster's own log cannot be replayed."""
        return {name: self.values[label] for name, label in _CONTROL_SETTINGS.items() if label in self.values}


@dataclass(frozen=True)
class RecoveryEnd:
    """Where recovery stopped, as the server itself wrote it down."""

    restore_point: str
    lsn: str
    time: datetime | None


def control_data(scratch: Scratch) -> ControlData:
    """Read the restored directory's control file.

    Raises:
        RecoveryError: it is not readable.
    """
    done = run_as(scratch.account, [scratch.binaries.tool("pg_controldata"), "-D", scratch.data_dir])
    if done.returncode != 0:
        raise RecoveryError(
            f"The restored control file is not readable: {done.stderr.strip()[-300:]}",
            hint="The backup is not whole. Verify an older one, and take a new one.",
        )
    pairs = (line.split(":", 1) for line in done.stdout.splitlines() if ":" in line)
    return ControlData({label.strip(): value.strip() for label, value in pairs})


def prepare(scratch: Scratch, wal_dir: Path, restore_point: str) -> Cluster:
    """Replace all configuration by our own, with the restore point as the target.

    Returns:
        The server, not started yet.
    """
    data_dir = scratch.data_dir
    for name in _REMOVED:
        (data_dir / name).unlink(missing_ok=True)
    script = scratch.directory / "restore-wal.sh"
    script.write_text(_restore_script(wal_dir))
    script.chmod(0o755)
    settings = {
        **_SETTINGS,
        **control_data(scratch).settings(),
        "hba_file": str(data_dir / "pg_hba.conf"),
        "ident_file": str(data_dir / "pg_ident.conf"),
        "restore_command": f"/bin/sh {shlex.quote(str(script)).replace('%', '%%')} %f %p",
        "recovery_target_name": restore_point,
        "recovery_target_timeline": "current",
        "recovery_target_action": "promote",
        "archive_cleanup_command": "",
        "recovery_end_command": "",
    }
    lines = [f"{name} = '{_quoted(value)}'\n" for name, value in settings.items()]
    _write(data_dir / "postgresql.conf", "".join(lines))
    _write(data_dir / "postgresql.auto.conf", "")
    _write(data_dir / "pg_hba.conf", "local all all trust\n")
    _write(data_dir / "pg_ident.conf", "")
    _write(data_dir / "recovery.signal", "")
    return scratch.cluster()


def recover(scratch: Scratch, cluster: Cluster) -> RecoveryEnd:
    """Start the server, let it replay its log, and wait until it answers queries.

    Raises:
        RecoveryError: it did not start, or ended without reaching the restore point.
        ScratchFullError: the scratch area filled up.
    """
    try:
        cluster.start(timeout_seconds=RECOVERY_TIMEOUT_SECONDS)
    except ServerStartError as error:
        raise _failed_recovery(scratch) from error
    _wait_until_recovered(scratch, cluster)
    return _recovery_end(scratch)


def _wait_until_recovered(scratch: Scratch, cluster: Cluster) -> None:
    """Without hot standby a server lets nobody in until recovery has ended: that is what is waited for."""
    pause_seconds = 0.02
    while True:
        try:
            with connect(cluster.conninfo(), application_name="strongroom verify") as connection:
                connection.execute("SELECT 1")
            return
        except DatabaseUnreachableError:
            if not cluster.running():
                raise _failed_recovery(scratch) from None
        time.sleep(pause_seconds)
        pause_seconds = min(pause_seconds * 1.5, 1.0)


def _failed_recovery(scratch: Scratch) -> RecoveryError | ScratchFullError:
    log = _log(scratch)
    if "No space left on device" in log or "Disk quota exceeded" in log:
        return ScratchFullError(
            f"The scratch area {scratch.directory.parent} filled up during recovery.",
            hint="Free some room, or name a larger place with the setting `scratch_directory`.",
        )
    if _TARGET_MISSED in log:
        return RecoveryError(
            "The log ends before the restore point: some of it is missing.",
            hint="Verify an older backup, and take a new one.",
        )
    fatal = [line for line in log.splitlines() if "FATAL" in line or "PANIC" in line]
    return RecoveryError(
        f"Recovery failed: {'; '.join(fatal[-3:])[-600:] or 'the server ended without a word'}",
        hint="The backup cannot be restored. Verify an older one, and take a new one.",
    )


def reached(end: RecoveryEnd, restore_point: str, lsn: str) -> bool:
    """Whether recovery stopped at this very point: the name and the position both count."""
    return end.restore_point == restore_point and parse_lsn(end.lsn) == parse_lsn(lsn)


def _recovery_end(scratch: Scratch) -> RecoveryEnd:
    """Read where recovery ended: the new timeline's history file, and the log for the time."""
    for path in sorted((scratch.data_dir / "pg_wal").glob("*.history"), reverse=True):
        ends = list(_HISTORY.finditer(path.read_text()))
        if ends:
            return RecoveryEnd(ends[-1]["name"], ends[-1]["lsn"], _stop_time(scratch))
    raise RecoveryError(
        "The server started, and its timeline history names no restore point at which it stopped.",
        hint=f"The scratch server's log ends with: {_log(scratch)[-600:]}",
    )


def _stop_time(scratch: Scratch) -> datetime | None:
    match = _STOPPED.search(_log(scratch))
    return datetime.fromisoformat(match["time"] + "+00:00") if match else None


def _log(scratch: Scratch) -> str:
    with (scratch.directory / "server.log").open("rb") as log:
        return log.read(1 << 20).decode(errors="replace")


def _restore_script(wal_dir: Path) -> str:
    """Exit 1 says "the archive ends here", and PostgreSQL believes it; so only a confirmed absence may say it."""
    place = shlex.quote(str(wal_dir))
    return (
        f'if [ -f {place}/"$1" ]; then cp {place}/"$1" "$2" || exit 255; exit 0; fi\n'
        f"[ -d {place} ] && [ -x {place} ] && exit 1\n"
        "exit 255\n"
    )


def _write(path: Path, text: str) -> None:
    """Write a small file that the server can read; one from the backup is replaced, not followed."""
    path.unlink(missing_ok=True)
    path.write_text(text)
    path.chmod(0o644)


def _quoted(value: str) -> str:
    return value.replace("\\", "\\\\").replace("'", "''")
