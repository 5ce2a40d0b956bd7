"""Whether the records in fetched segments are whole: each has a checksum, which `pg_waldump` verifies.

It must be of the source's own major version. Where this host has only a newer one, which `pg_receivewal` is content
with, the records are not looked at; recovery will.
"""

from __future__ import annotations

import re
from pathlib import Path

from strongroom.backup.continuous.errors import SegmentError
from strongroom.backup.continuous.segments import damaged
from strongroom.postgres import NoSuchServerVersionError, find_binaries, format_lsn, parse_lsn, run_as
from strongroom.postgres import segment_name as name_at

_NOTHING_BEGINS = "could not find a valid record after"
"""One record fills the whole stretch: its checksum cannot be verified without its beginning."""
_PLACE = re.compile(r"record at ([0-9A-F]{1,8}/[0-9A-F]{1,8})")


def record_reader(major: int, search: tuple[Path, ...]) -> Path | None:
    """The path of a `pg_waldump` that reads the source's records; None when this host has none."""
    try:
        return find_binaries(major, search).tool("pg_waldump")
    except NoSuchServerVersionError:
        return None


def verify_records(
    program: Path, directory: Path, *, timeline: int, start: int, end: int, segment_bytes: int
) -> None:
    """Check every record that begins and ends between two positions.

    Args:
        program: of `record_reader`.
        directory: where the segments lie.
        timeline: in the segments' names.
        start: where the first segment starts.
        end: where the last one ends.
        segment_bytes: their size.

    Raises:
        SegmentError: one is damaged; it names the segment.
    """
    arguments = ["--quiet", f"--path={directory}", f"--timeline={timeline}"]
    arguments += [f"--start={format_lsn(start)}", f"--end={format_lsn(end)}"]
    done = run_as(None, [program, *arguments])
    if done.returncode == 0 or _NOTHING_BEGINS in done.stderr:
        return
    raise _error(done.stderr, timeline, start, segment_bytes)


def _error(said: str, timeline: int, start: int, segment_bytes: int) -> SegmentError:
    place = _PLACE.search(said)
    at = parse_lsn(place[1]) if place else start
    last_line = said.strip().rsplit("\n", 1)[-1][-300:]
    return damaged(
        name_at(timeline, max(at, start), segment_bytes), f"does not read: {last_line or 'pg_waldump failed'}"
    )
