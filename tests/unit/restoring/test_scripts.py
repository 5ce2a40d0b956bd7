"""Data scripts are taken apart exactly, wherever their pieces are cut, and what is not as described is refused."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strongroom.backup.logical.contents import TableEntry, preamble
from strongroom.backup.restoring.errors import BrokenArchiveError
from strongroom.backup.restoring.logical.scripts import DataScript

ODD_ROWS = st.lists(st.sampled_from([b"1\\t2\n", b"\n", b"\\\\.\n", b".\n", b"\\N\n", b"a\\n\\\\.\\nb\n"]))


def entry(name: str) -> TableEntry:
    return TableEntry("public", name, "data/00001.sql.zst.age", ("a",), ("a",), None, None, 0)


def script(tables: dict[str, bytes]) -> bytes:
    blocks = (entry(name).copy_in().encode() + b";\n" + rows + b"\\.\n" for name, rows in tables.items())
    return preamble("UTF8").encode() + b"".join(blocks)


def pieces(data: bytes, cuts: list[int]) -> Iterator[bytes]:
    at = 0
    for cut in [*cuts, len(data)]:
        yield data[at : at + cut]
        at += cut


def read(data: bytes, names: list[str], cuts: list[int] | None = None) -> dict[str, bytes]:
    parts = DataScript(pieces(data, cuts or []), "UTF8", [entry(name) for name in names], "data/1")
    return {table.name: b"".join(rows) for table, rows in parts}


@given(
    st.dictionaries(st.text(min_size=1), ODD_ROWS.map(b"".join), max_size=5),
    st.lists(st.integers(0, 40), max_size=60),
)
def test_rows_come_out_as_they_went_in(tables: dict[str, bytes], cuts: list[int]) -> None:
    assert read(script(tables), list(tables), cuts) == tables


@given(st.integers(0, 400))
def test_a_script_that_is_cut_anywhere_is_refused(length: int) -> None:
    data = script({"a": b"1\n2\n", "b": b""})
    if length < len(data):
        with pytest.raises(BrokenArchiveError):
            read(data[:length], ["a", "b"])


def test_rows_that_are_passed_over_do_not_disturb_the_next_table() -> None:
    data = script({"a": b"1\n" * 1000, "b": b"2\n"})
    parts = DataScript(iter([data]), "UTF8", [entry("a"), entry("b")], "data/1")
    assert [b"".join(rows) for table, rows in parts if table.name == "b"] == [b"2\n"]


@pytest.mark.parametrize(
    "data",
    [
        script({"a": b"1\n"}) + b"DROP TABLE x;\n",
        script({"a": b"1\n"}).replace(b"COPY", b"COPY  "),
        script({"a": b"1\n"}).replace(b"FROM stdin", b"FROM PROGRAM 'true'"),
        b"SELECT 1;\n" + script({"a": b"1\n"}),
        script({"b": b"1\n"}),
        script({}),
        b"",
    ],
)
def test_a_script_that_says_anything_else_is_refused(data: bytes) -> None:
    with pytest.raises(BrokenArchiveError):
        read(data, ["a"])
