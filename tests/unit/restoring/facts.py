"""Facts to plan with: backups and an archive in numbers, without any of their content."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from strongroom.backup.continuous import (
    ArchivedHistory,
    ArchivedSegment,
    Covered,
    HistoryReceipt,
    SegmentsReceipt,
    TimelineFacts,
    TimelineHistory,
    TimelineSwitch,
)
from strongroom.backup.manifest import (
    BackupManifest,
    ChainLink,
    ManifestObject,
    RestorePoint,
    ServerFacts,
    backup_prefix,
)
from strongroom.backup.restoring.facts import ClusterLog, StoredManifest
from strongroom.postgres import format_lsn, segment_name

SEGMENT = 16 << 20
CLUSTER = "7000000000000000001"
DAWN = datetime(2026, 11, 24, tzinfo=UTC)


def at(minutes: float) -> datetime:
    """A moment of the day, in minutes since midnight."""
    return DAWN + timedelta(minutes=minutes)


def place(segments: float) -> int:
    """A position in the log, in segments."""
    return int(segments * SEGMENT)


def backup(
    number: int,
    start: float,
    minutes: float,
    *,
    timeline: int = 1,
    cluster: str = CLUSTER,
    parent: StoredManifest | None = None,
    size: int = 1000,
) -> StoredManifest:
    """A backup that began in a segment and took a minute; its restore point lies in the second segment after."""
    backup_id = f"{at(minutes):%Y%m%dT%H%M%SZ}-{number:04x}"
    prefix = backup_prefix("shop", backup_id)
    objects = tuple(
        ManifestObject(
            f"{role}.tar.zst.age", role, f"{prefix}{role}.tar.zst.age", size // 4, "0" * 64, size, ("e",)
        )
        for role in ("base", "wal")
    )
    chain = None
    if parent is not None:
        link = parent.manifest.chain
        chain = ChainLink(
            parent.id, parent.sha256, link.full_id if link else parent.id, link.position + 1 if link else 1
        )
    manifest = BackupManifest(
        backup_id=backup_id,
        database="shop",
        method="physical",
        kind="incremental" if parent else "full",
        started_at=at(minutes),
        finished_at=at(minutes + 1),
        server=ServerFacts("18.6", 18, cluster, timeline, SEGMENT, True),
        start_lsn=format_lsn(place(start) + 40),
        stop_lsn=format_lsn(place(start) + 5000),
        restore_point=RestorePoint(f"strongroom_{backup_id}", format_lsn(place(start + 1) + 96)),
        objects=objects,
        policy_sha256="0" * 64,
        fencing_number=1,
        software={},
        chain=chain,
    )
    return StoredManifest(manifest, f"{number:064x}")


def timeline(
    number: int, segments: Iterable[int], clocks: dict[float, float], missing: Iterable[int] = ()
) -> TimelineFacts:
    """What the archive has of a timeline.

    Args:
        number: the timeline.
        segments: the numbers of its segments.
        clocks: minutes of the day by position (in segments): what was committed before lies before it.
        missing: segments that a receipt names and the bucket has lost.
    """
    found = tuple(_segment(number, item) for item in segments)
    receipts = tuple(
        _receipt(
            number,
            found[0] if found else _segment(number, 0),
            Covered(at(minutes), format_lsn(place(position))),
        )
        for position, minutes in clocks.items()
    )
    lost = tuple(_segment(number, item).name for item in missing)
    return TimelineFacts(number, found, receipts, lost, None)


def log(*timelines: TimelineFacts, histories: dict[int, list[tuple[int, float]]] | None = None) -> ClusterLog:
    """A cluster's archive; histories by timeline: the ancestors, each with the position (in segments) it ended at."""
    receipts = {
        number: HistoryReceipt.of(
            TimelineHistory(
                number, tuple(TimelineSwitch(ancestor, place(left)) for ancestor, left in switches)
            ),
            database="shop",
            system_identifier=CLUSTER,
            file=ArchivedHistory(f"wal/shop/{CLUSTER}/{number}.history.age", 1, "1" * 64, 1, ("e",)),
            policy_sha256="0" * 64,
            software={},
        )
        for number, switches in (histories or {}).items()
    }
    return ClusterLog(CLUSTER, {item.timeline: item for item in timelines}, receipts)


def _segment(timeline: int, number: int) -> ArchivedSegment:
    name = segment_name(timeline, number * SEGMENT, SEGMENT)
    return ArchivedSegment(name, f"wal/shop/{name}.zst.age", 1000, "2" * 64, SEGMENT, ("e",))


def _receipt(timeline: int, segment: ArchivedSegment, covered: Covered) -> SegmentsReceipt:
    members: dict[str, Any] = {"policy_sha256": "0" * 64, "software": {}, "fencing_number": 1}
    return SegmentsReceipt("shop", CLUSTER, timeline, SEGMENT, "18.6", (segment,), covered, **members)
