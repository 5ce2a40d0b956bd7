"""What a restore came to."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime

from strongroom.backup.restoring.copied import copied_lines
from strongroom.canonical import JsonObject
from strongroom.clock import timestamp
from strongroom.storage import FallbackUse


@dataclass(frozen=True)
class RestoreReport:
    """A restore that succeeded: references and measures, safe to log and to pass between tasks.

    Args:
        database: the database's name in its policy.
        backup_id: the backup that recovery began from.
        plan_sha256: the plan that was executed.
        data_directory: the restored cluster.
        server_version: as which it runs.
        stopped: where recovery stopped, in the server's words.
        lsn: where the last replayed record ends.
        stopped_at: the time of the commit or restore point at which it stopped; None when the record had none.
        timeline: the timeline that recovery followed.
        running: whether the server was left running.
        socket_directory: where it can be reached (database user `postgres`), by the owner of the directory.
        fetch_seconds: fetching, opening and unpacking the backup.
        recovery_seconds: fetching and replaying the log.
        restored_bytes: what was written for the backup.
        archived_segments: how many segments of the archive were replayed.
        start_command: how to start it.
        stop_command: how to stop it.
        look_command: how to look at it.
        from_copies: the objects that a copy gave, since the store had none that was sound.
    """

    database: str
    backup_id: str
    plan_sha256: str
    data_directory: str
    server_version: str
    stopped: str
    lsn: str
    stopped_at: datetime | None
    timeline: int
    running: bool
    socket_directory: str
    fetch_seconds: float
    recovery_seconds: float
    restored_bytes: int
    archived_segments: int
    start_command: str
    stop_command: str
    look_command: str
    from_copies: tuple[FallbackUse, ...] = ()

    @property
    def seconds(self) -> float:
        """From the first fetched byte to a server that is where it should be."""
        return round(self.fetch_seconds + self.recovery_seconds, 3)

    def document(self) -> JsonObject:
        """The report as JSON."""
        moment = self.stopped_at
        return {**asdict(self), "stopped_at": timestamp(moment) if moment else None, "seconds": self.seconds}

    def lines(self) -> list[str]:
        """The report as a person reads it, with what to do next."""
        when = f", at {timestamp(self.stopped_at)}" if self.stopped_at else ""
        lines = [
            f"Restored {self.database} from {self.backup_id} into {self.data_directory}.",
            f"Recovery stopped {self.stopped} ({self.lsn}, timeline {self.timeline}{when}).",
            f"It took {self.seconds:.1f} s: {self.fetch_seconds:.1f} s to fetch and unpack,"
            f" {self.recovery_seconds:.1f} s to replay {self.archived_segments} archived segments.",
        ]
        return [
            *lines,
            *copied_lines(self.from_copies),
            "The server runs." if self.running else f"Start it:   {self.start_command}",
            f"Look at it: {self.look_command}",
            f"Stop it:    {self.stop_command}",
            "It archives nothing and listens on no network until you say so in postgresql.conf;"
            " the files of the source lie beside as *.original.",
        ]
