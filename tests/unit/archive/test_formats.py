"""What a part says of itself, and which parts count."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from strongroom.archive import ArchiveManifestError, Mark, Part, PersonIndex, normalised, person_index
from strongroom.archive.manifest import (
    PartColumn,
    PartManifest,
    PartObject,
    PartReceipt,
    PartRule,
    PartSource,
    PartTable,
    encoded_table,
    read_manifest,
    read_receipt,
    rows_name,
)
from strongroom.archive.standing import parts_in_force, read_parts
from strongroom.signing import SignatureError, SignerKey
from strongroom.storage import LocalObjectStore

NOW = datetime(2026, 8, 24, 2, tzinfo=UTC)
SIGNER = SignerKey.generate("archive-test")


def sealed(name: str) -> PartObject:
    return PartObject(name, 10, "ab" * 32, 8, ("backup-1",))


def part(part_id: str = "20260824T020000Z-1f3a5b7c", table: str = "public.orders") -> PartManifest:
    columns = (PartColumn("order_id", "bigint"),)
    rows = PartTable(
        table,
        3,
        "ordered_at",
        "2018-03-01 00:00:00+00",
        "2018-03-09 00:00:00+00",
        columns,
        sealed(rows_name(table)),
    )
    return PartManifest(
        part_id=part_id,
        database="shop",
        table=table,
        period="2018-03",
        method="rows",
        rule=PartRule("2y", "ordered_at", "8y", "bookkeeping"),
        policy_sha256="cd" * 32,
        source=PartSource("7000000000000000001", "shop"),
        cutoff=NOW,
        archived_at=NOW,
        delete_after=NOW,
        tables=(rows,),
        persons=sealed("persons.age"),
        software={"strongroom": "test"},
    )


def test_a_manifest_reads_back_as_it_was_written() -> None:
    manifest = part()
    assert read_manifest(manifest.sign(SIGNER), SIGNER.verifier, "it") == manifest


def test_an_edited_manifest_is_refused() -> None:
    document = json.loads(part().sign(SIGNER))
    document["delete_after"] = "2020-01-01T00:00:00.000000Z"
    with pytest.raises(SignatureError):
        read_manifest(json.dumps(document).encode(), SIGNER.verifier, "it")


@pytest.mark.parametrize(
    "changes",
    [
        {"tables": ()},
        {"method": "partition"},
        {"persons": sealed("people.age")},
        {"tables": (part().tables[0], part().tables[0])},
        {"period": "March"},
        {"part_id": "../.."},
    ],
)
def test_a_manifest_that_contradicts_itself_is_refused(changes: dict[str, object]) -> None:
    manifest = replace(part(), **changes)  # type: ignore[arg-type]
    with pytest.raises(ArchiveManifestError):
        read_manifest(manifest.sign(SIGNER), SIGNER.verifier, "it")


def test_a_later_format_is_named_as_such() -> None:
    document = {**part().document(), "format": "strongroom/archive-part/v9"}
    with pytest.raises(ArchiveManifestError, match="not of the format"):
        read_manifest(json.dumps(SIGNER.sign_json(document)).encode(), SIGNER.verifier, "it")


def test_a_receipt_reads_back_as_it_was_written() -> None:
    receipt = PartReceipt(part().part_id, "shop", "public.orders", "ab" * 32, NOW)
    assert read_receipt(receipt.sign(SIGNER), SIGNER.verifier, "it") == receipt


@pytest.mark.parametrize(
    ("table", "segment"),
    [
        ("public.orders", "public.orders"),
        ('public."Order Details"', "public.=4Frder=20=44etails"),
        ('"a.b".c', "a=2Eb.c"),
    ],
)
def test_a_table_s_name_becomes_a_segment_of_a_key(table: str, segment: str) -> None:
    assert encoded_table(table) == segment


def test_names_that_are_cut_stay_apart() -> None:
    first, second = (encoded_table(f'public."{"é" * 31}{end}"') for end in "ab")
    assert first != second
    assert max(len(first), len(second)) < 200


def test_a_person_is_found_and_nobody_else() -> None:
    people = [("customer", "customer_id", str(number)) for number in range(10_000)]
    index = PersonIndex(b"".join(person_index(people)), "it")
    assert all(index.holds(*person) for person in people[::97])
    assert not index.holds("customer", "customer_id", "10000")
    assert not index.holds("staff", "customer_id", "1")
    assert not index.holds("customer", "email", "1")


def test_indexes_of_the_same_people_have_nothing_in_common() -> None:
    people = [("customer", "customer_id", "1")]
    first, second = (b"".join(person_index(people)) for _ in range(2))
    assert first[-16:] != second[-16:]


def test_what_is_no_index_is_refused() -> None:
    for content in (b"", b"PAR1", b"".join(person_index([])) + b"short"):
        with pytest.raises(ArchiveManifestError):
            PersonIndex(content, "it")


@pytest.mark.parametrize(
    ("value", "how", "expected"),
    [
        (" Ada@Example.ORG ", "email", "ada@example.org"),
        ("+31 (0)20-123", "phone", "+31020123"),
        ("ABC", "lower", "abc"),
        (" ABC", "exact", " ABC"),
    ],
)
def test_spellings_are_made_equal(value: str, how: str, expected: str) -> None:
    assert normalised(value, how) == expected  # type: ignore[arg-type]


def keep(store: LocalObjectStore, manifest: PartManifest, *, receipt: bool) -> Part:
    store.put_bytes(manifest.key, manifest.sign(SIGNER))
    (kept,) = (
        item for item in read_parts(store, SIGNER.verifier, "shop") if item.part_id == manifest.part_id
    )
    if receipt:
        signed = PartReceipt(manifest.part_id, "shop", manifest.table, kept.manifest_sha256, NOW).sign(SIGNER)
        store.put_bytes(manifest.prefix + "receipt.json", signed)
    return kept


def mark(kept: Part) -> Mark:
    return Mark(kept.part_id, "public.orders", 3, kept.manifest_sha256, NOW, recorded=True)


def test_with_the_source_its_marks_decide(local_store: LocalObjectStore) -> None:
    moved = keep(local_store, part("20260824T020000Z-00000001"), receipt=False)
    keep(local_store, part("20260824T020000Z-00000002"), receipt=True)
    parts = read_parts(local_store, SIGNER.verifier, "shop")
    assert parts_in_force(parts, {moved.part_id: mark(moved)}) == [moved]


def test_without_the_source_receipts_decide(local_store: LocalObjectStore) -> None:
    keep(local_store, part("20260824T020000Z-00000001"), receipt=False)
    moved = keep(local_store, part("20260824T020000Z-00000002"), receipt=True)
    counted = parts_in_force(read_parts(local_store, SIGNER.verifier, "shop"), None)
    assert [item.part_id for item in counted] == [moved.part_id]


def test_a_manifest_that_took_another_one_s_place_is_noticed(local_store: LocalObjectStore) -> None:
    moved = keep(local_store, part(), receipt=False)
    wrong = replace(mark(moved), manifest_sha256="00" * 32)
    with pytest.raises(ArchiveManifestError, match="not the manifest"):
        parts_in_force([moved], {moved.part_id: wrong})


def test_a_manifest_in_another_folder_is_refused(local_store: LocalObjectStore) -> None:
    local_store.put_bytes("archive/shop/public.orders/2018-04/x/manifest.json", part().sign(SIGNER))
    with pytest.raises(ArchiveManifestError, match="moved"):
        read_parts(local_store, SIGNER.verifier, "shop")
