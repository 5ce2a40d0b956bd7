"""The write-ahead log from a backup's start to its restore point: complete, or the hole is named."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from strongroom.backup.restoring.wal import WalRange, wal_problems

MIB = 1 << 20
IDENTITY = 7_412_345_678_901_234_567


def _wanted(timeline: int = 1, end: int = 0x3000060) -> WalRange:
    return WalRange(timeline, 0x1000028, end, 16 * MIB, IDENTITY)


def _segment(
    directory: Path, name: str, address: int, *, identity: int = IDENTITY, size: int = 16 * MIB
) -> None:
    header = struct.pack("<HHIQI4xQII", 0xD118, 0x0002, 1, address, 0, identity, 16 * MIB, 8192)
    with (directory / name).open("wb") as file:
        file.write(header)
        file.truncate(size)


def _complete(directory: Path) -> None:
    for number in (1, 2, 3):
        _segment(directory, f"00000001000000000000000{number}", number * 16 * MIB)


def test_a_complete_log_has_no_problems(tmp_path: Path) -> None:
    _complete(tmp_path)
    assert list(wal_problems(_wanted(), [tmp_path])) == []


def test_segments_may_lie_in_two_places(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    _complete(tmp_path)
    (tmp_path / "000000010000000000000002").rename(tmp_path / "a" / "000000010000000000000002")
    assert list(wal_problems(_wanted(), [tmp_path, tmp_path / "a"])) == []


def test_a_missing_segment_is_named(tmp_path: Path) -> None:
    _complete(tmp_path)
    (tmp_path / "000000010000000000000002").unlink()
    assert list(wal_problems(_wanted(), [tmp_path])) == ["WAL segment 000000010000000000000002 is missing"]


def test_a_restore_point_at_a_segments_end_does_not_ask_for_the_next(tmp_path: Path) -> None:
    assert _wanted(end=0x3000000).segments()[-1] == "000000010000000000000002"
    assert _wanted(end=0x3000001).segments()[-1] == "000000010000000000000003"


def test_names_count_on_over_the_four_gigabyte_mark() -> None:
    wanted = WalRange(3, 0xFF000000, 0x101000000, 16 * MIB, IDENTITY)
    assert wanted.segments() == ["0000000300000000000000FF", "000000030000000100000000"]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"size": 16 * MIB - 1}, "has 16777215 bytes instead of 16777216"),
        ({"identity": 1}, "belongs to another cluster"),
        ({"address": 7 * 16 * MIB}, "holds another part of the log"),
    ],
)
def test_a_wrong_segment_is_told_from_a_right_one(
    tmp_path: Path, change: dict[str, int], problem: str
) -> None:
    _complete(tmp_path)
    address = change.get("address", 2 * 16 * MIB)
    rest = {name: value for name, value in change.items() if name != "address"}
    _segment(tmp_path, "000000010000000000000002", address, **rest)
    [found] = wal_problems(_wanted(), [tmp_path])
    assert problem in found


def test_a_later_timeline_needs_its_history(tmp_path: Path) -> None:
    problems = list(wal_problems(_wanted(timeline=2), [tmp_path]))
    assert problems[-1] == "timeline history 00000002.history is missing"
