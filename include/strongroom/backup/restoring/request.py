"""What somebody asks for when a cluster is to be brought back: to when, from which backup, into which directory."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

from strongroom.backup.restoring.configuration import TargetAction
from strongroom.backup.restoring.errors import TargetError
from strongroom.clock import parse_timestamp, timestamp
from strongroom.postgres import format_lsn, parse_lsn

RequestedKind = Literal["time", "lsn", "point", "latest", "backup"]


@dataclass(frozen=True)
class RestoreTarget:
    """To when a cluster is brought back.

    time     a moment, with its time zone: everything that was committed up to it, nothing that was later
    lsn      a position in the log: everything that was written before it
    point    a named restore point
    latest   the end of the archive, as far as it reaches without a hole
    backup   the restore point of the backup itself: what its proof has shown
    """

    kind: RequestedKind
    value: str = ""
    """The moment (RFC 3339, UTC), the position, or the name; nothing for the other two."""

    @classmethod
    def at_time(cls, text: str) -> RestoreTarget:
        """A moment such as `2026-11-24 22:10:05+01:00` or `2026-11-24T21:10:05Z`.

        Raises:
            TargetError: it is none, or names no time zone.
        """
        try:
            moment = datetime.fromisoformat(text.strip())
        except ValueError:
            raise TargetError(
                f"{text[:60]!r} is no moment.", hint="Write it as 2026-11-24T22:10:05+01:00."
            ) from None
        if moment.tzinfo is None:
            raise TargetError(
                f"The moment {text[:60]} names no time zone, so it could be any of 24 hours.",
                hint="Add the offset from UTC, such as Z for UTC itself or +01:00.",
            )
        return cls("time", timestamp(moment))

    @classmethod
    def at_lsn(cls, text: str) -> RestoreTarget:
        """A position such as `0/3000060`.

        Raises:
            InvalidLsnError: it is none.
        """
        return cls("lsn", format_lsn(parse_lsn(text.strip())))

    @classmethod
    def at_point(cls, name: str) -> RestoreTarget:
        """A named restore point.

        Raises:
            TargetError: no restore point can have that name.
        """
        if not 0 < len(name.encode()) < 64 or not name.isprintable():
            raise TargetError("The name of a restore point has 1 to 63 bytes.")
        return cls("point", name)

    @property
    def moment(self) -> datetime:
        """The moment that `value` names."""
        return parse_timestamp(self.value)

    def __str__(self) -> str:
        return {
            "time": f"to {self.value}",
            "lsn": f"to the position {self.value}",
            "point": f"to the restore point {self.value}",
            "latest": "to the end of the archive",
            "backup": "to the backup's own restore point",
        }[self.kind]


@dataclass(frozen=True)
class RestoreRequest:
    """A restore that somebody wants.

    Args:
        database: the database's name in its policy; the whole cluster comes back.
        target: to when.
        directory: where to; it does not exist yet, or is empty.
        backup_id: begin from this backup, not from the newest that will do.
        timeline: follow this timeline, not the newest.
        then: what the server is at its target: `promote`d to one that can be written to, left in recovery and
            stopped (`shutdown`), or in recovery and open for reading (`pause`).
        start: whether the server is left running.
    """

    database: str
    target: RestoreTarget
    directory: Path
    backup_id: str | None = None
    timeline: int | None = None
    then: TargetAction = "promote"
    start: bool = False
