"""Segments: their arithmetic at every size, and files that are not what their names say."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strongroom.backup.continuous import ForeignSegmentError, SegmentError
from strongroom.backup.continuous.segments import (
    Expected,
    check_segment_bytes,
    names_between,
    segment_ceiling,
    segment_floor,
    start_of,
    verify_segment,
)
from strongroom.backup.continuous.slots import slot_name
from strongroom.postgres import segment_name
from strongroom.postgres.errors import InvalidLsnError

MIB = 1 << 20
PAGE = 8192
IDENTITY = 7_412_345_678_901_234_567
NAME = "000000010000000000000003"
sizes = st.sampled_from([MIB << power for power in range(11)])


def write(
    directory: Path,
    name: str = NAME,
    *,
    size: int = MIB,
    identity: int = IDENTITY,
    used_pages: int | None = None,
    timeline: int = 1,
) -> Path:
    """A segment of which some pages are in use."""
    start = start_of(name, size)
    path = directory / name
    with path.open("wb") as file:
        for number in range(size // PAGE if used_pages is None else used_pages):
            page = struct.pack("<HHIQI4x", 0xD118, 2 if not number else 0, timeline, start + number * PAGE, 0)
            if not number:
                page += struct.pack("<QII", identity, size, PAGE)
            file.write(page.ljust(PAGE, b"\x5a"))
        file.truncate(size)
    return path


def expected(size: int = MIB, *timelines: int) -> Expected:
    return Expected(IDENTITY, size, frozenset(timelines or {1}))


def test_a_full_segment_and_one_that_was_switched_away_from_pass(tmp_path: Path) -> None:
    verify_segment(write(tmp_path), expected())
    verify_segment(write(tmp_path, used_pages=3), expected())


def test_a_segment_of_another_cluster_is_foreign(tmp_path: Path) -> None:
    with pytest.raises(ForeignSegmentError, match="another cluster"):
        verify_segment(write(tmp_path, identity=IDENTITY + 1), expected())


def test_a_segment_under_another_segments_name_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path).rename(tmp_path / "000000010000000000000004")
    with pytest.raises(SegmentError, match="another part of the log"):
        verify_segment(path, expected())


def test_a_segment_of_a_timeline_that_has_no_place_there_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, "000000020000000000000003", timeline=1)
    verify_segment(path, expected(MIB, 1, 2))
    with pytest.raises(SegmentError, match="timeline 1"):
        verify_segment(path, expected(MIB, 2))


def test_a_segment_of_another_size_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path)
    with pytest.raises(SegmentError, match="bytes instead of"):
        verify_segment(path, expected(2 * MIB))
    path.write_bytes(path.read_bytes() * 2)
    with pytest.raises(SegmentError, match="does not start like"):
        verify_segment(path, expected(2 * MIB))


@pytest.mark.parametrize("offset", [0, 2, 37, 5 * PAGE, 77 * PAGE + 8, 127 * PAGE + 1])
def test_a_damaged_header_of_any_page_is_found(tmp_path: Path, offset: int) -> None:
    path = write(tmp_path)
    content = bytearray(path.read_bytes())
    content[offset] ^= 0x10
    path.write_bytes(content)
    with pytest.raises(SegmentError):
        verify_segment(path, expected())


@pytest.mark.parametrize("page", [1, 50, 126])
def test_a_hole_of_zeros_in_the_middle_is_found(tmp_path: Path, page: int) -> None:
    path = write(tmp_path)
    content = bytearray(path.read_bytes())
    content[page * PAGE : (page + 1) * PAGE] = bytes(PAGE)
    path.write_bytes(content)
    with pytest.raises(SegmentError, match="empty page"):
        verify_segment(path, expected())


@pytest.mark.parametrize("size", [0, MIB - 1, 3 * MIB, 1 << 31, -MIB])
def test_a_size_that_no_cluster_has_is_refused(size: int) -> None:
    with pytest.raises(SegmentError):
        check_segment_bytes(size)


@given(sizes, st.integers(1, 0xFFFFFFFF), st.integers(0, (1 << 50) - 1))
def test_names_and_positions_go_there_and_back_at_every_size(size: int, timeline: int, position: int) -> None:
    name = segment_name(timeline, position, size)
    assert start_of(name, size) == segment_floor(position, size)
    assert segment_ceiling(position, size) in (position, segment_floor(position, size) + size)


def test_names_are_counted_with_the_clusters_own_segment_size() -> None:
    assert names_between(1, 0xFF000000, 0x101000000, 16 * MIB) == [
        "0000000100000000000000FF",
        "000000010000000100000000",
    ]
    assert names_between(1, 0xF8000001, 0x104000000, 64 * MIB) == [
        "00000001000000000000003F",
        "000000010000000100000000",
    ]


def test_a_name_beyond_what_that_size_allows_is_refused() -> None:
    with pytest.raises(InvalidLsnError):
        start_of("000000010000000000000040", 64 * MIB)


def test_databases_with_long_names_have_slots_of_their_own() -> None:
    assert slot_name("shop") == "strongroom_wal_shop"
    long = "a" * 60
    names = {slot_name(long + "b"), slot_name(long + "c"), slot_name(long)}
    assert len(names) == 3
    assert all(len(name) <= 63 for name in names)
