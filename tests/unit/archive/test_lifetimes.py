"""What archives tell the retention planner of themselves."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from strongroom.archive.lifetimes import ArchiveLifetimes
from strongroom.archive.manifest import PartManifest
from strongroom.durations import Duration
from strongroom.lifetimes import Item, Kind
from strongroom.storage import LocalObjectStore
from tests.unit.archive.test_formats import NOW, SIGNER, keep, part, sealed


def items(store: LocalObjectStore, **keeps: str) -> list[Item]:
    rules = {f"public.{table}": Duration.parse(text) for table, text in keeps.items()}
    return list(ArchiveLifetimes(store, "shop", SIGNER.verifier, rules).items())


def with_files(store: LocalObjectStore, manifest: PartManifest) -> None:
    for item in manifest.objects():
        store.put_bytes(manifest.prefix + item.name, b"sealed")


def test_a_part_lives_as_long_as_its_rule_keeps_its_newest_row(local_store: LocalObjectStore) -> None:
    with_files(local_store, part())
    keep(local_store, part(), receipt=True)
    (item,) = items(local_store, orders="10y")
    assert (item.kind, item.id) == (Kind.ARCHIVE, "archive/public.orders/2018-03/20260824T020000Z-1f3a5b7c")
    assert item.expires_at == datetime(2028, 3, 9, tzinfo=UTC)
    assert (item.table, item.in_use, item.counts) == ("public.orders", None, {"rows": 3})
    assert [one.key.rpartition("/")[2] for one in item.objects] == [
        "manifest.json",
        "receipt.json",
        "persons.age",
        "public.orders.parquet.age",
    ]


def test_where_the_policy_has_no_rule_any_more_the_one_it_left_by_counts(
    local_store: LocalObjectStore,
) -> None:
    keep(local_store, part(), receipt=True)
    (item,) = items(local_store)
    assert item.expires_at == NOW


def test_a_newest_row_that_no_calendar_has_is_kept_as_its_manifest_says(
    local_store: LocalObjectStore,
) -> None:
    ancient = replace(part().tables[0], last="0044-03-15 00:00:00+00 BC")
    keep(local_store, replace(part(), tables=(ancient,)), receipt=True)
    (item,) = items(local_store, orders="10y")
    assert item.expires_at == NOW


def test_a_hold_on_any_of_its_tables_reaches_a_part_of_several(local_store: LocalObjectStore) -> None:
    line = replace(part().tables[0], table="public.line", object=sealed("public.line.parquet.age"))
    keep(local_store, replace(part(), tables=(part().tables[0], line)), receipt=True)
    (item,) = items(local_store)
    assert item.table is None


def test_what_a_sweep_works_on_is_in_use(local_store: LocalObjectStore) -> None:
    with_files(local_store, part("20260824T020000Z-00000001"))
    keep(local_store, part("20260824T020000Z-00000002"), receipt=False)
    debris, unfinished = items(local_store)
    assert (debris.kind, unfinished.kind) == (Kind.DEBRIS, Kind.ARCHIVE)
    assert debris.in_use
    assert unfinished.in_use


def test_what_cannot_be_believed_is_unknown_with_all_that_lies_beside_it(
    local_store: LocalObjectStore,
) -> None:
    with_files(local_store, part())
    local_store.put_bytes(part().key, b"{}")
    with_files(local_store, part("20260824T020000Z-00000002"))
    local_store.put_bytes(part("20260824T020000Z-00000002").prefix + "receipt.json", b"{}")
    found = items(local_store)
    assert [(item.kind, len(item.objects)) for item in found] == [(Kind.UNKNOWN, 3), (Kind.UNKNOWN, 3)]
