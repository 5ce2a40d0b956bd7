"""Whether a source can tell what has changed since the last backup: the same cluster, and its WAL is summarised.

A server with `summarize_wal` (PostgreSQL 17) writes down, for each piece of its WAL, which blocks that piece
changed. An incremental backup needs these summaries without a gap from the last backup's start on. The newest piece
may still be in the making: the server itself waits for it, and gives up when it makes no progress for a minute.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from psycopg import errors as pg_errors

from strongroom.backup.manifest import BackupManifest
from strongroom.backup.preflight import SourceFacts
from strongroom.backup.reasons import FullReason, WhyFull
from strongroom.backup.server_manifest import FIRST_MAJOR
from strongroom.postgres import Connection, format_lsn, parse_lsn, server_errors

_SUMMARIES = """
SELECT start_lsn::text, end_lsn::text FROM pg_catalog.pg_available_wal_summaries()
 WHERE tli = %s AND end_lsn > %s::pg_lsn
"""
_POSITIONS = """
SELECT pg_catalog.pg_current_wal_lsn()::text, summarized_lsn::text FROM pg_catalog.pg_get_wal_summarizer_state()
"""


def why_source_needs_full(control: Connection, source: SourceFacts, parent: BackupManifest) -> WhyFull | None:
    """Why the source cannot give an incremental backup on top of the parent; None when it can.

    Raises:
        DatabaseUnreachableError: the source went away.
    """
    for changed, reason, text in _differences(source, parent):
        if changed:
            return WhyFull(reason, text)
    return _why_not_summarised(control, source.timeline, parent)


def _differences(source: SourceFacts, parent: BackupManifest) -> Iterator[tuple[bool, FullReason, str]]:
    before = parent.server
    yield (
        source.major < FIRST_MAJOR,
        FullReason.SERVER_OLD,
        f"PostgreSQL {source.version} has no incremental backups; {FIRST_MAJOR} brought them",
    )
    yield (
        source.system_identifier != before.system_identifier,
        FullReason.CLUSTER_CHANGED,
        f"the source is another cluster than at {parent.backup_id} (its system identifier changed)",
    )
    yield (
        source.major != before.major,
        FullReason.SERVER_CHANGED,
        f"the source was PostgreSQL {before.version} at {parent.backup_id}, and is {source.version} now",
    )
    yield (
        source.timeline != before.timeline,
        FullReason.TIMELINE_CHANGED,
        f"the source went over from timeline {before.timeline} to {source.timeline}",
    )
    yield (
        source.data_checksums != before.data_checksums,
        FullReason.CHECKSUMS_CHANGED,
        f"page checksums were switched {'on' if source.data_checksums else 'off'} at the source",
    )
    yield (
        source.wal_segment_bytes != before.wal_segment_bytes,
        FullReason.SERVER_CHANGED,
        "the source's WAL segments have another size than before",
    )
    yield (
        parent.server_manifest_sha256 is None,
        FullReason.NO_SERVER_MANIFEST,
        f"{parent.backup_id} was taken without a manifest that PostgreSQL could continue from",
    )
    yield (
        not source.summarize_wal,
        FullReason.SUMMARIES_OFF,
        "the source keeps no WAL summaries (summarize_wal = off)",
    )


def _why_not_summarised(control: Connection, timeline: int, parent: BackupManifest) -> WhyFull | None:
    with server_errors("The source"):
        try:
            row = control.execute(_POSITIONS).fetchone()
            rows = control.execute(_SUMMARIES, (timeline, parent.start_lsn)).fetchall()
        except pg_errors.InsufficientPrivilege:
            return None  # the server itself looks for them, and refuses where one is missing
    if row is None or parse_lsn(row[0]) < parse_lsn(parent.stop_lsn):
        text = f"the source's WAL is behind {parent.backup_id}: it was set back to an earlier state"
        return WhyFull(FullReason.SET_BACK, text)
    summaries = sorted((parse_lsn(start), parse_lsn(end)) for start, end in rows)
    missing = first_gap(parse_lsn(parent.start_lsn), parse_lsn(row[1]), summaries)
    if missing is None:
        return None
    text = f"the source has no WAL summary for {format_lsn(missing)} (wal_summary_keep_time may be too short)"
    return WhyFull(FullReason.SUMMARIES_MISSING, text)


def first_gap(start: int, end: int, summaries: Sequence[tuple[int, int]]) -> int | None:
    """The first position between two that no summary covers; None when all are covered.

    Args:
        start: from where on everything must be covered.
        end: up to where the server has summarised; what comes later it is still going to.
        summaries: start and end of each, in order of their starts.
    """
    covered = start
    for first, last in summaries:
        if first > covered:
            break
        covered = max(covered, last)
    return covered if covered < end else None
