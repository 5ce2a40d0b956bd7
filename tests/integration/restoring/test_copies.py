"""Where the store has no sound object, a restore takes it from a copy, and says so."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from sqlalchemy import text

from strongroom.audit import QueueSink
from strongroom.backup.copying import CopyParts, CopyPlan, StoreReplicator
from strongroom.backup.manifest import manifest_key, read_manifest
from strongroom.backup.restoring.request import RestoreTarget
from strongroom.canonical import parse_object
from strongroom.clock import SystemClock
from strongroom.errors import IntegrityError, NotFoundError
from strongroom.signing import verify_json
from strongroom.storage import FallbackStore, LocalObjectStore, NamedStore
from tests.integration.restoring.conftest import Archived
from tests.integration.restoring.site import ACTOR, Site, engine_of, numbers, opened


@pytest.fixture
def offsite(archived: Archived) -> LocalObjectStore:
    """A copy of all that was archived."""
    site = archived.site
    store = LocalObjectStore(site.directory / "offsite")
    parts = CopyParts(
        site.store,
        lambda name: store,
        engine_of(site.control_url),
        QueueSink(),
        site.signer.verifier,
        SystemClock(),
    )
    report = StoreReplicator(parts).run(ACTOR, CopyPlan("shop", "00" * 32), "offsite")
    assert set(report.backups) == {archived.first_backup, archived.second_backup}
    assert [info.key for info in store.list("wal/")] == [info.key for info in site.store.list("wal/")]
    return store


def both(site: Site, offsite: LocalObjectStore, told: list[str]) -> FallbackStore:
    def accept(key: str, data: bytes) -> None:
        if key.endswith(".json"):
            verify_json(parse_object(data, key), site.signer.verifier, key)

    stores = [NamedStore("store", site.store), NamedStore("offsite", offsite)]
    return FallbackStore(stores, told.append, accept=accept)


def damage(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def test_a_restore_takes_from_the_copy_what_the_store_has_damaged_or_lost(
    archived: Archived, offsite: LocalObjectStore, into: Path
) -> None:
    site, bucket = archived.site, archived.site.directory / "bucket"
    key = manifest_key("shop", archived.first_backup)
    manifest = read_manifest(site.store.get_bytes(key), site.signer.verifier)
    segments = sorted(info.key for info in site.store.list("wal/") if info.key.endswith(".zst.age"))
    damage(bucket / manifest.object("base").key)
    (bucket / segments[-1]).unlink()
    damage(bucket / segments[-2])
    (bucket / key).write_text(json.dumps({**json.loads((bucket / key).read_text()), "stop_lsn": "0/1"}))

    told: list[str] = []
    service = site.restores(store=both(site, offsite, told))
    request = site.request(RestoreTarget("latest"), into, backup_id=archived.first_backup)
    plan = service.plan(ACTOR, request).plan
    report = service.run(ACTOR, plan, plan.sha256)

    with opened(report, site.source) as cluster:
        assert numbers(cluster) == {commit.number for commit in archived.commits}
    for fetched in (key, manifest.object("base").key, *segments[-2:]):
        assert any(fetched in line and "offsite" in line for line in told), fetched
    assert {use.store for use in report.from_copies} == {"offsite"}
    assert {key, manifest.object("base").key, *segments[-2:]} <= {use.key for use in report.from_copies}
    assert any("came from the copy offsite" in line for line in report.lines())
    stated = json.loads((into / "restore.json").read_text())["report"]["from_copies"]
    assert [use["key"] for use in stated] == [use.key for use in report.from_copies]
    with engine_of(site.control_url).connect() as connection:
        entry = connection.execute(
            text(
                "SELECT convert_from(entry, 'UTF8') FROM audit_queue"
                " WHERE convert_from(entry, 'UTF8') LIKE :plan ORDER BY id DESC LIMIT 1"
            ),
            {"plan": f"%{plan.sha256}%"},
        ).scalar_one()
    recorded = json.loads(entry)["data"]
    assert recorded["details"]["copies"] == ["offsite"]
    assert recorded["counts"]["objects_from_copies"] == len(report.from_copies)


def test_what_is_damaged_everywhere_is_not_restored(
    archived: Archived, offsite: LocalObjectStore, into: Path
) -> None:
    site = archived.site
    data = site.store.get_bytes(manifest_key("shop", archived.second_backup))
    base = read_manifest(data, site.signer.verifier).object("base").key
    damage(site.directory / "bucket" / base)
    damage(site.directory / "offsite" / base)
    service = site.restores(store=both(site, offsite, []))
    request = site.request(RestoreTarget("backup"), into, backup_id=archived.second_backup)
    plan = service.plan(ACTOR, request).plan
    with pytest.raises((IntegrityError, NotFoundError)):
        service.run(ACTOR, plan, plan.sha256)
    assert not (into / "data").exists()
