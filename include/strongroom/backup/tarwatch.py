"""Reading a base backup's facts out of its tar stream while it passes by.

    member   = header (512 bytes, ustar) + content, padded with zeros to a multiple of 512
    end      = two blocks of zeros

PostgreSQL writes plain ustar: names of at most 100 bytes, sizes in octal or, from 8 GiB on, in base 256
(`src/port/tar.c`). The buffers are looked at where they are; only small members are copied:

    backup_label          START WAL LOCATION, START TIMELINE
    global/pg_control     the first eight bytes: the system identifier
    backup_manifest       the last member, injected by pg_basebackup: WAL-Ranges with the stop LSN
"""

from __future__ import annotations

import json
import re
import struct
from dataclasses import dataclass

from strongroom.backup.errors import IncompleteStreamError
from strongroom.postgres import parse_lsn

_BLOCK = 512
_ZEROS = bytes(_BLOCK)
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


class TarWatch:
    """Follows a tar stream, given to it buffer by buffer, and keeps what `facts` needs."""

    def __init__(self) -> None:
        self._header = bytearray()
        self._body_left = 0
        self._padding_left = 0
        self._capture: _Capture | None = None
        self._captured: dict[str, _Capture] = {}
        self._last_segment = ""
        self._member_count = 0
        self._ended = False

    def feed(self, data: memoryview) -> None:
        """Look at the next piece of the stream.

        Raises:
            IncompleteStreamError: it is not a tar stream, or is damaged.
        """
        position, size = 0, len(data)
        while position < size and not self._ended:
            if self._body_left:
                step = min(self._body_left, size - position)
                if self._capture is not None:
                    self._capture.add(data[position : position + step])
                self._body_left -= step
            elif self._padding_left:
                step = min(self._padding_left, size - position)
                self._padding_left -= step
            else:
                step = min(_BLOCK - len(self._header), size - position)
                self._header += data[position : position + step]
                if len(self._header) == _BLOCK:
                    self._begin_member(bytes(self._header))
                    self._header.clear()
            position += step

    def _begin_member(self, header: bytes) -> None:
        if header == _ZEROS:
            self._ended = True
            return
        _check_header(header)
        name = header[:100].rstrip(b"\0").decode("utf-8", "surrogateescape").removeprefix("./")
        self._body_left = _size(header[124:136])
        self._padding_left = -self._body_left % _BLOCK
        self._member_count += 1
        self._capture = None
        if name in (_LABEL, _CONTROL, _MANIFEST):
            self._capture = self._captured[name] = _Capture()
        elif match := _SEGMENT.match(name):
            self._last_segment = max(self._last_segment, match[1])

    def facts(self) -> StreamFacts:
        """What the stream said, once it is over.

        Raises:
            IncompleteStreamError: it ended early, or lacks what makes it a base backup.
        """
        if not self._ended:
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
            member_count=self._member_count,
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


def _check_header(header: bytes) -> None:
    try:
        expected = int(header[148:156].rstrip(b"\0 ") or b"x", 8)
    except ValueError as error:
        raise IncompleteStreamError("The base backup's stream is not a tar file.") from error
    if sum(header) - sum(header[148:156]) + 8 * 32 != expected:
        raise IncompleteStreamError("The base backup's stream is damaged: a tar header's sum is wrong.")


def _size(field: bytes) -> int:
    if field[0] & 0x80:
        return int.from_bytes(field[1:], "big")
    try:
        return int(field.rstrip(b"\0 ") or b"0", 8)
    except ValueError as error:
        raise IncompleteStreamError("The base backup's stream is damaged: a size is no number.") from error


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
