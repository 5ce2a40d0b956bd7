"""Letting a restored server replay its log, and finding out where it stopped.

The history file of the timeline that a promoted server begins says where and why it left the old one, as lines of
`<parent timeline> TAB <position> TAB <reason>`, for instance `at restore point "x"` or `before LSN 0/3000060`.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from strongroom.backup.restoring.control import control_data
from strongroom.backup.restoring.errors import RecoveryError, TargetMissedError
from strongroom.postgres import (
    Cluster,
    DatabaseUnreachableError,
    ScratchFullError,
    ServerStartError,
    connect,
    parse_lsn,
)

RECOVERY_TIMEOUT_SECONDS = 24 * 3600.0

_TARGET_MISSED = "recovery ended before configured recovery target was reached"
_STOPPED = re.compile(
    r"recovery stopping (?:at|before|after) .*?, time (?P<time>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d+)?)"
)
_HISTORY = re.compile(r"^(?P<parent>\d+)\t(?P<lsn>[0-9A-F]+/[0-9A-F]+)\t(?P<reason>.*)$", re.MULTILINE)
_POINT = re.compile(r'at restore point "(?P<name>[^"]+)"')
_LAST_RECORD = re.compile(r"redo done at ([0-9A-F]+/[0-9A-F]+)")
_WITHOUT_TIMELINE = re.compile(
    r"recovery stopping (?P<when>at|before|after) (?:WAL location \(LSN\) \"(?P<lsn>[0-9A-F/]+)\""
    r"|restore point \"(?P<name>[^\"]+)\"|(?:commit|abort) of (?:prepared )?transaction)"
)
_LOG_BYTES = 1 << 20


@dataclass(frozen=True)
class RecoveryEnd:
    """Where recovery stopped, as the server itself wrote it down.

    Args:
        reason: why it stopped there, in the server's words.
        lsn: where the last replayed record ends.
        time: of the commit, abort or restore point at which it stopped; None when it was another record.
        timeline: the timeline that was left.
    """

    reason: str
    lsn: str
    time: datetime | None
    timeline: int

    @property
    def restore_point(self) -> str | None:
        """The name of the restore point at which it stopped."""
        match = _POINT.fullmatch(self.reason)
        return match["name"] if match else None


def recover(cluster: Cluster, watch: Callable[[], None] | None = None) -> RecoveryEnd:
    """Start the server, let it replay its log, and wait until it answers queries as a server of its own.

    Args:
        cluster: configured, with the target action `promote`.
        watch: called while waiting; an exception from it ends the wait (and leaves the server to the caller).

    Raises:
        RecoveryError: it did not start, or ended without reaching its target.
        ScratchFullError: its disk filled up.
    """
    try:
        cluster.start(timeout_seconds=RECOVERY_TIMEOUT_SECONDS)
    except ServerStartError as error:
        raise recovery_failure(cluster) from error
    _wait_until_recovered(cluster, watch or (lambda: None))
    return recovery_end(cluster)


def _wait_until_recovered(cluster: Cluster, watch: Callable[[], None]) -> None:
    """Without hot standby a server lets nobody in until recovery has ended: that is what is waited for."""
    pause_seconds = 0.02
    while True:
        watch()
        try:
            with connect(cluster.conninfo(), application_name="strongroom restore") as connection:
                connection.execute("SELECT 1")
            return
        except DatabaseUnreachableError:
            if not cluster.running():
                raise recovery_failure(cluster) from None
        time.sleep(pause_seconds)
        pause_seconds = min(pause_seconds * 1.5, 1.0)


def recovery_failure(cluster: Cluster) -> RecoveryError | ScratchFullError:
    """Why a server did not recover, told from its log."""
    log = server_log(cluster)
    if "No space left on device" in log or "Disk quota exceeded" in log:
        return ScratchFullError(
            f"The disk of {cluster.data_dir.parent} filled up during recovery.",
            hint=f"Free some room, or name a larger place with `{cluster.setting_name}`.",
        )
    if _TARGET_MISSED in log:
        done = _LAST_RECORD.findall(log)
        return TargetMissedError(
            "The log ends before the restore point: some of it is missing.",
            hint="Verify an older backup, and take a new one.",
            last_record=done[-1] if done else None,
        )
    fatal = [line for line in log.splitlines() if "FATAL" in line or "PANIC" in line]
    return RecoveryError(
        f"Recovery failed: {'; '.join(fatal[-3:])[-600:] or 'the server ended without a word'}",
        hint="The backup cannot be restored. Verify an older one, and take a new one.",
    )


def reached(end: RecoveryEnd, restore_point: str, lsn: str) -> bool:
    """Whether recovery stopped at this very restore point: the name and the position both count."""
    return end.restore_point == restore_point and parse_lsn(end.lsn) == parse_lsn(lsn)


def recovery_end(cluster: Cluster) -> RecoveryEnd:
    """Where a promoted server stopped: from its new timeline's history file, and its log for the time.

    Raises:
        RecoveryError: it began no timeline of its own.
    """
    for path in sorted((cluster.data_dir / "pg_wal").glob("*.history"), reverse=True):
        lines = list(_HISTORY.finditer(path.read_text()))
        if lines:
            last = lines[-1]
            return RecoveryEnd(last["reason"], last["lsn"], _stop_time(cluster), int(last["parent"]))
    raise RecoveryError(
        "The server started, and no timeline history says where it stopped.",
        hint=f"Its log ends with: {server_log(cluster)[-600:]}",
    )


def recover_and_stay(cluster: Cluster, watch: Callable[[], None] | None = None) -> RecoveryEnd:
    """Start the server, let it replay its log, and wait until it has stopped at its target, still in recovery.

    Args:
        cluster: configured, with the target action `shutdown`.
        watch: called while waiting; an exception from it ends the wait (and leaves the server to the caller).

    Raises:
        RecoveryError: it did not start, or ended without reaching its target.
        ScratchFullError: its disk filled up.
    """
    try:
        cluster.start(timeout_seconds=RECOVERY_TIMEOUT_SECONDS)
    except ServerStartError as error:
        if not _stopped_at_target(cluster):
            raise recovery_failure(cluster) from error
    while cluster.running():
        if watch is not None:
            watch()
        time.sleep(0.05)
    if not _stopped_at_target(cluster):
        raise recovery_failure(cluster)
    return _end_without_timeline(cluster)


def _stopped_at_target(cluster: Cluster) -> bool:
    stopped = control_data(cluster).state == "shut down in recovery"
    return stopped and "shutdown at recovery target" in server_log(cluster)


def _end_without_timeline(cluster: Cluster) -> RecoveryEnd:
    """Where a server stopped that began no timeline: from its log, and its control file for the position."""
    found = list(_WITHOUT_TIMELINE.finditer(server_log(cluster)))
    control = control_data(cluster)
    position = control.values["Minimum recovery ending location"]
    if not found:
        raise RecoveryError("The server stopped, and its log does not say where.")
    moment, last = _stop_time(cluster), found[-1]
    if last["name"]:
        reason = f'at restore point "{last["name"]}"'
    else:
        reason = f"{last['when']} " + (f"LSN {last['lsn']}" if last["lsn"] else f"{moment}")
    return RecoveryEnd(reason, position, moment, control.timeline)


def _stop_time(cluster: Cluster) -> datetime | None:
    found = list(_STOPPED.finditer(server_log(cluster)))
    return datetime.fromisoformat(found[-1]["time"] + "+00:00") if found else None


def server_log(cluster: Cluster) -> str:
    """The last part of the server's log."""
    try:
        with cluster.log_path.open("rb") as log:
            log.seek(max(0, cluster.log_path.stat().st_size - _LOG_BYTES))
            return log.read(_LOG_BYTES).decode(errors="replace")
    except FileNotFoundError:
        return ""
