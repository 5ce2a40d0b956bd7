"""Log sequence numbers and segment names, against what PostgreSQL prints."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strongroom.postgres import format_lsn, parse_lsn, segment_name, segment_start
from strongroom.postgres.errors import InvalidLsnError

MEGABYTE = 1 << 20


@given(st.integers(min_value=0, max_value=2**64 - 1))
def test_a_position_survives_being_written_and_read(position: int) -> None:
    assert parse_lsn(format_lsn(position)) == position


@pytest.mark.parametrize(
    ("lsn", "segment_bytes", "name"),
    [
        ("0/2000028", 16 * MEGABYTE, "000000010000000000000002"),
        ("1/FF000000", 16 * MEGABYTE, "0000000100000001000000FF"),
        ("2/0", 64 * MEGABYTE, "000000010000000200000000"),
        ("0/2000028", 1 * MEGABYTE, "000000010000000000000020"),
    ],
)
def test_a_segment_is_named_as_postgresql_names_it(lsn: str, segment_bytes: int, name: str) -> None:
    assert segment_name(1, parse_lsn(lsn), segment_bytes) == name
    assert (
        segment_start(name, segment_bytes)
        <= parse_lsn(lsn)
        < segment_start(name, segment_bytes) + segment_bytes
    )


@pytest.mark.parametrize("text", ["", "0", "0/", "/0", "g/0", "0/123456789", "-1/0", "0/1 "])
def test_anything_else_is_no_position(text: str) -> None:
    with pytest.raises(InvalidLsnError):
        parse_lsn(text)
