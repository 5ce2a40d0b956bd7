"""What a logical backup consists of: which table in which object, statements, and documents that do not lie."""

from __future__ import annotations

from pathlib import Path

import pytest

from strongroom.backup import BackupPlan, ManifestError
from strongroom.backup.logical.contents import (
    DatabaseFacts,
    LogicalContents,
    SequenceEntry,
    TableEntry,
    parse_contents,
)
from strongroom.backup.logical.dumping import GROUP_BYTES, LARGE_TABLE_BYTES, data_objects
from strongroom.backup.logical.inventory import SourceTable
from strongroom.backup.logical.streams import Streams
from strongroom.policy import load_policy
from tests.support import REPOSITORY


def table(name: str, size_bytes: int = 8192, **more: object) -> SourceTable:
    values = {"kind": "r", "of_extension": False, "condition": None, "into": None, **more}
    return SourceTable(1, "public", name, columns=("a",), copied=("a",), size_bytes=size_bytes, **values)  # type: ignore[arg-type]


def contents() -> LogicalContents:
    facts = DatabaseFacts("shop", "me", "UTF8", "C", "C", "b", "C.UTF-8", (), None)
    entry = TableEntry("public", "a", "data/00001.sql.zst.age", ("a",), ("a",), None, None, 0)
    sequence = SequenceEntry("public", "a's", 2**62, True)
    return LogicalContents("18.6", "0-1", facts, ("me",), (), (entry,), (sequence,))


def test_large_tables_have_objects_of_their_own_and_small_ones_share() -> None:
    small = [table(f"t{number}", 1 << 20) for number in range(100)]
    large = [table("large", LARGE_TABLE_BYTES), table("larger", 10 * LARGE_TABLE_BYTES)]
    objects = data_objects([*small, *large])
    assert [len(item.tables) for item in objects if item.tables[0] in large] == [1, 1]
    assert objects[0].tables[0].name == "larger"
    shared = [item for item in objects if item.tables[0] in small]
    assert all(item.size_bytes <= GROUP_BYTES for item in shared)
    assert sum(len(item.tables) for item in shared) == 100
    assert len({item.name for item in objects}) == len(objects)


def test_views_foreign_tables_and_an_extensions_own_tables_have_no_rows_to_keep() -> None:
    kept = [
        table("own"),
        table("settings", of_extension=True, condition="WHERE NOT builtin"),
        table("all settings", of_extension=True, condition=""),
    ]
    left = [
        table("view", kind="m"),
        table("far", kind="f"),
        table("root", kind="p"),
        table("x", of_extension=True),
    ]
    [item] = data_objects([*kept, *left])
    assert list(item.tables) == kept
    copies = [entry.copy_out() for entry in item.entries()]
    assert copies[1] == 'COPY (SELECT "a" FROM ONLY "public"."settings" WHERE NOT builtin) TO STDOUT'
    assert copies[2] == 'COPY "public"."all settings" ("a") TO STDOUT'


def test_contents_are_read_back_and_anything_else_is_refused() -> None:
    assert parse_contents(contents().encode()) == contents()
    assert contents().sequences[0].set_value() == (
        "SELECT pg_catalog.setval('\"public\".\"a''s\"', 4611686018427387904, true)"
    )
    for data in (b"{}", b"[]", contents().encode().replace(b'"tool"', b'"fool"')):
        with pytest.raises(ManifestError, match="contents of the backup"):
            parse_contents(data)


def test_the_first_failure_is_the_one_that_counts_and_the_others_stop() -> None:
    ran: list[int] = []

    def job(number: int) -> list[int]:
        ran.append(number)
        if number == 1:
            raise ValueError("first")
        return [number]

    streams = Streams(1, lambda: None)
    with pytest.raises(ValueError, match="first"):
        streams.run([lambda number=number: job(number) for number in range(4)])  # type: ignore[misc]
    assert ran == [0, 1]
    assert Streams(2, lambda: None).run([lambda: [1], lambda: [2, 3]]) == [1, 2, 3]


def test_a_policy_says_which_method(tmp_path: Path) -> None:
    lines = (REPOSITORY / "include" / "policy" / "shop.yaml").read_text().splitlines(keepends=True)
    text = "".join(line for line in lines if not line.startswith(("  wal:", "  full_every:")))
    file = tmp_path / "shop.yaml"
    for method in ("physical", "logical"):
        file.write_text(text.replace("method: physical", f"method: {method}"))
        assert BackupPlan.from_policy(load_policy(file)).method == method
