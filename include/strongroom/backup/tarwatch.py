"""Reading a base backup's facts out of its tar stream while it passes by.

The buffers are looked at where they are; only small members are copied:

    backup_label          START WAL LOCATION, START TIMELINE
    global/pg_control     the first eight bytes: the system identifier
    backup_manifest       the last member, injected by the client: WAL-Ranges with the stop LSN

The relation files of an incremental backup are called INCREMENTAL.<file>; none of these three ever is.
"""

from __future__ import annotations

import json
import re
import struct
from dataclasses import dataclass

from strongroom.backup.errors import IncompleteStreamError
from strongroom.backup.server_manifest import ServerManifest
from strongroom.backup.tarwalk import TarWalk
from strongroom.postgres import parse_lsn

_KEEP_BYTES = 64 * 1024
_LABEL, _CONTROL, _MANIFEST = "backup_label", "global/pg_control", "backup_manifest"
_SEGMENT = re.compile(r"^pg_wal/([0-9A-F]{24})$")
_START = re.compile(r"^START WAL LOCATION: ([0-9A-F]+/[0-9A-F]+) \(file ([0-9A-F]{24})\)$", re.MULTILINE)
_TIMELINE = re.compile(r"^START TIMELINE: (\d+)$", re.MULTILINE)
_RANGES = b'"WAL-Ranges": ['


@dataclass(frozen=True)
class StreamFacts:
    """What a base backup says of itself."""

    start_lsn: str
    stop_lsn: str
    timeline: int
    system_identifier: str
    last_segment: str
    """The name of the last WAL segment inside."""
    member_count: int


class TarWatch(TarWalk):
    """Follows the tar stream of a base backup and keeps what `facts` needs.

    Args:
        server_manifest: takes the content of the member backup_manifest.
    """

    def __init__(self, server_manifest: ServerManifest | None = None) -> None:
        super().__init__()
        self._server_manifest = server_manifest
        self._current: _Capture | None = None
        self._captured: dict[str, _Capture] = {}
        self._last_segment = ""

    def begin(self, name: str, size: int) -> None:
        self._current = None
        if name in (_LABEL, _CONTROL, _MANIFEST):
            self._current = self._captured[name] = _Capture()
        elif match := _SEGMENT.match(name):
            self._last_segment = max(self._last_segment, match[1])

    def content(self, piece: memoryview) -> None:
        if self._current is not None:
            self._current.add(piece)
            if self._server_manifest is not None and self._current is self._captured.get(_MANIFEST):
                self._server_manifest.write(piece)

    def facts(self) -> StreamFacts:
        """What the stream said, once it is over.

        Raises:
            IncompleteStreamError: it ended early, or lacks what makes it a base backup.
        """
        if not self.ended:
            raise IncompleteStreamError("The base backup's stream ended in the middle.")
        label = self._part(_LABEL).head.decode(errors="replace")
        start, timeline = _START.search(label), _TIMELINE.search(label)
        if start is None or timeline is None:
            raise IncompleteStreamError("The base backup's backup_label does not say where its WAL starts.")
        (identifier,) = struct.unpack_from("=Q", self._part(_CONTROL).head)
        if not self._last_segment:
            raise IncompleteStreamError("The base backup holds no WAL.")
        return StreamFacts(
            start_lsn=start[1],
            stop_lsn=_stop_lsn(self._part(_MANIFEST).last),
            timeline=int(timeline[1]),
            system_identifier=str(identifier),
            last_segment=self._last_segment,
            member_count=self.member_count,
        )

    def _part(self, name: str) -> _Capture:
        capture = self._captured.get(name)
        if capture is None or len(capture.head) < 8:
            raise IncompleteStreamError(f"The base backup holds no {name}.")
        return capture


class _Capture:
    """The beginning and the end of one member, each at most 64 KiB."""

    def __init__(self) -> None:
        self.head = bytearray()
        self._tail = bytearray()

    def add(self, data: memoryview) -> None:
        room = _KEEP_BYTES - len(self.head)
        self.head += data[:room]
        if len(data) > room:
            self._tail += data[room:][-_KEEP_BYTES:]
            del self._tail[:-_KEEP_BYTES]

    @property
    def last(self) -> bytes:
        """The end of the member; the beginning stands before it, where the member is short."""
        return bytes(self.head + self._tail)


def _stop_lsn(manifest: bytes) -> str:
    """The end of the last WAL range; quotes inside file names are escaped, so the marker is unambiguous."""
    position = manifest.rfind(_RANGES)
    try:
        ranges, _ = json.JSONDecoder().raw_decode(
            manifest[position + len(_RANGES) - 1 :].decode("utf-8", "replace")
        )
        ends = [str(item["End-LSN"]) for item in ranges]
    except (ValueError, KeyError, TypeError) as error:
        raise IncompleteStreamError("The base backup's manifest does not say where its WAL ends.") from error
    if position < 0 or not ends:
        raise IncompleteStreamError("The base backup's manifest does not say where its WAL ends.")
    return max(ends, key=parse_lsn)
