"""Incremental backups make chains, each of which restores and is proven like a full backup."""

from __future__ import annotations

import json
from dataclasses import replace

import sqlalchemy

from strongroom.backup import BackupSummary
from tests.integration.chains.estate import WEEKLY, Estate, checks_of

CHANGE = "UPDATE public.customer SET email = email || '.' WHERE id % 500 = 0"


def chain(shop: Estate, length: int) -> list[BackupSummary]:
    """A full backup and incremental ones on top, with rows changed in between."""
    taken = []
    for _ in range(length):
        taken.append(shop.back_up())
        shop.server.execute(CHANGE, "CHECKPOINT")
    return taken


def test_a_chain_restores_and_its_content_is_what_it_was(shop: Estate) -> None:
    full, first, second = chain(shop, 3)
    shop.server.execute("CREATE TABLE public.later AS SELECT 1 AS x")
    third = shop.back_up()
    assert [item.kind for item in (full, first, second, third)] == ["full"] + ["incremental"] * 3
    assert [item.parent_id for item in (full, first, second, third)] == [
        None,
        full.backup_id,
        first.backup_id,
        second.backup_id,
    ]
    proof = shop.prove()
    assert proof.problems() == []
    assert proof.proven
    assert proof.backup_id == third.backup_id
    outcome = checks_of(proof)
    assert outcome["L3 pg_combinebackup"] == "passed"
    assert outcome[f"L0 {full.backup_id}/base.tar.zst.age hash"] == "passed"
    assert outcome[f"L1 {second.backup_id}/base.tar.zst.age opens"] == "passed"


def test_a_backup_in_the_middle_of_a_chain_restores_without_the_later_ones(shop: Estate) -> None:
    taken = chain(shop, 3)
    proof = shop.prove(taken[1].backup_id)
    assert proof.proven
    assert not any(taken[2].backup_id in name for name in checks_of(proof))


def test_an_incremental_backup_reads_and_stores_only_what_changed(shop: Estate) -> None:
    shop.server.execute(
        "CREATE TABLE public.large AS SELECT g, repeat(md5(g::text), 8) FROM generate_series(1, 200000) g"
    )
    shop.server.execute("VACUUM ANALYZE public.large", "CHECKPOINT")
    full = shop.back_up()
    shop.server.execute("UPDATE public.large SET g = g WHERE g % 10000 = 0")
    incremental = shop.back_up()
    sizes = [shop.manifest(item.backup_id).object("base").size_bytes for item in (full, incremental)]
    shop.server.execute("DROP TABLE public.large")
    assert sizes[1] < sizes[0] / 10


def test_the_manifest_of_an_incremental_backup_carries_what_retention_needs(shop: Estate) -> None:
    full, first, second = chain(shop, 3)
    links = [shop.manifest(item.backup_id).chain for item in (full, first, second)]
    assert links[0] is None
    assert links[1] is not None
    assert links[2] is not None
    assert (links[1].parent_id, links[1].full_id, links[1].position) == (full.backup_id, full.backup_id, 1)
    assert (links[2].parent_id, links[2].full_id, links[2].position) == (first.backup_id, full.backup_id, 2)
    assert links[2].parent_manifest_sha256 == first.manifest_sha256


def test_the_log_says_of_each_backup_what_kind_it_is_and_why(shop: Estate) -> None:
    full, first = chain(shop, 2)
    query = "SELECT convert_from(entry, 'UTF8') FROM audit_queue ORDER BY id"
    with shop.world.engine.connect() as connection:
        entries = [json.loads(row[0]) for row in connection.execute(sqlalchemy.text(query))]
    events = [entry["data"] for entry in entries if entry["type"] == "backup:run:execute"]
    details = [event["details"] for event in events if event["phase"] == "result"]
    assert [item["kind"] for item in details] == ["full", "incremental"]
    assert [item["why_full"] for item in details] == ["first_backup", None]
    assert [item["parent_id"] for item in details] == [None, full.backup_id]
    assert full.kind_reason == "the database has no complete backup yet"
    assert shop.manifest(full.backup_id).kind_reason == full.kind_reason
    assert first.kind_reason is None


def test_without_full_every_each_backup_is_full_and_needs_no_reason(shop: Estate) -> None:
    plan = replace(WEEKLY, full_every=None)
    for _ in range(2):
        summary = shop.back_up(plan)
        assert (summary.kind, summary.kind_reason) == ("full", None)
