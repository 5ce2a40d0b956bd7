"""A chain that is not whole is never extended, and never restored as if it were."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy

from strongroom.backup import BackupManifest, manifest_key
from strongroom.durations import Duration
from strongroom.signing import SignerKey
from strongroom.storage import Condition
from tests.integration.backup.world import ACTOR
from tests.integration.chains.estate import WEEKLY, Estate, checks_of

Damage = Callable[[Estate, BackupManifest], None]


def rewrite(shop: Estate, key: str, data: bytes) -> None:
    shop.world.store.put_bytes(key, data, condition=Condition.OVERWRITE)


def remove(shop: Estate, key: str) -> None:
    for item in list(shop.world.store.list_versions(key)):
        shop.world.store.delete_version(item.key, item.version_id)


def lose_base(shop: Estate, manifest: BackupManifest) -> None:
    remove(shop, manifest.object("base").key)


def cut_base(shop: Estate, manifest: BackupManifest) -> None:
    key = manifest.object("base").key
    rewrite(shop, key, shop.world.store.get_bytes(key)[:-1])


def lose_manifest(shop: Estate, manifest: BackupManifest) -> None:
    remove(shop, manifest.key)


def edit_manifest(shop: Estate, manifest: BackupManifest) -> None:
    data = shop.world.store.get_bytes(manifest.key)
    rewrite(shop, manifest.key, data.replace(b'"timeline":1', b'"timeline":2'))


def foreign_manifest(shop: Estate, manifest: BackupManifest) -> None:
    rewrite(shop, manifest.key, manifest.sign(SignerKey.generate("somebody.else")))


def signed_again(shop: Estate, manifest: BackupManifest) -> None:
    """As somebody with the signing key could: a backup under the same id that is another one."""
    other = replace(manifest, finished_at=manifest.finished_at + timedelta(seconds=1))
    rewrite(shop, manifest.key, other.sign(shop.world.signer))


DAMAGES = [lose_base, cut_base, lose_manifest, edit_manifest, foreign_manifest, signed_again]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_chain_whose_full_backup_is_damaged_is_not_extended(shop: Estate, damage: Damage) -> None:
    full, child = shop.back_up(), shop.back_up()
    assert child.kind == "incremental"
    damage(shop, shop.manifest(full.backup_id))
    again = shop.back_up()
    assert again.kind == "full"
    assert again.kind_reason is not None
    assert again.kind_reason.startswith("the chain is broken")
    assert full.backup_id in again.kind_reason
    assert shop.back_up().parent_id == again.backup_id


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_backup_whose_ancestor_is_damaged_is_not_proven(shop: Estate, damage: Damage) -> None:
    full, child = shop.back_up(), shop.back_up()
    damage(shop, shop.manifest(full.backup_id))
    proof = shop.prove(child.backup_id)
    assert not proof.proven
    outcome = checks_of(proof)
    name = (
        "L0 chain" if damage not in (lose_base, cut_base) else f"L0 {full.backup_id}/base.tar.zst.age present"
    )
    assert outcome[name] == "failed"
    assert "passed" not in {status for check, status in outcome.items() if check.startswith("L3")}


def test_parts_of_two_chains_do_not_combine(shop: Estate) -> None:
    """Even when every signature holds: PostgreSQL's own programs look whether the parts fit."""
    first = shop.back_up()
    other = shop.manifest(shop.back_up(full=True).backup_id)
    child = shop.manifest(shop.back_up().backup_id)
    assert child.chain is not None
    assert child.chain.parent_id == other.backup_id
    stranger = shop.manifest(first.backup_id)
    link = replace(child.chain, parent_id=stranger.backup_id, full_id=stranger.backup_id)
    digest = hashlib.sha256(shop.world.store.get_bytes(stranger.key)).hexdigest()
    forged = replace(child, chain=replace(link, parent_manifest_sha256=digest))
    rewrite(shop, child.key, forged.sign(shop.world.signer))
    proof = shop.prove(child.backup_id)
    assert not proof.proven
    failed = [check.detail for _, check in proof.problems() if check.status == "failed"]
    assert len(failed) == 1
    assert "do not fit together" in failed[0]


def test_a_chain_does_not_grow_without_end(shop: Estate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("strongroom.backup.extending.LONGEST_CHAIN", 1)
    taken = [shop.back_up() for _ in range(4)]
    assert [item.kind for item in taken] == ["full", "incremental", "full", "incremental"]
    assert taken[2].kind_reason is not None
    assert "1 incremental backups already" in taken[2].kind_reason


def test_a_full_backup_is_taken_when_its_time_has_come(shop: Estate) -> None:
    shop.back_up()
    time.sleep(1)
    again = shop.back_up(replace(WEEKLY, full_every=Duration.parse("1s")))
    assert again.kind == "full"
    assert again.kind_reason is not None
    assert "as old as full_every allows" in again.kind_reason


def test_a_full_backup_is_taken_when_somebody_asks_for_it(shop: Estate) -> None:
    shop.back_up()
    again = shop.back_up(full=True)
    assert (again.kind, again.kind_reason) == ("full", "a full backup was asked for")


def forget_server_manifest(shop: Estate) -> None:
    with shop.world.engine.begin() as connection:
        connection.execute(sqlalchemy.text("DELETE FROM server_manifest"))


def test_a_host_without_keys_that_lost_the_control_database_takes_a_full_backup(shop: Estate) -> None:
    shop.back_up()
    forget_server_manifest(shop)
    again = shop.back_up()
    assert again.kind == "full"
    assert again.kind_reason is not None
    assert "is not in the control database, and cannot be opened here" in again.kind_reason
    assert shop.back_up().kind == "incremental"


def test_a_host_with_keys_takes_the_manifest_from_the_sealed_backup(shop: Estate) -> None:
    from strongroom.backup import BackupService
    from strongroom.sealing import LocalKeyProvider

    full = shop.back_up()
    forget_server_manifest(shop)
    parts = replace(shop.world.parts(), vault=shop.vault(LocalKeyProvider(shop.world.key_file)))
    again = BackupService(parts).run(ACTOR, WEEKLY, shop.world.conninfo)
    assert (again.kind, again.parent_id) == ("incremental", full.backup_id)
    assert shop.prove().proven


def test_a_kept_manifest_that_was_altered_is_not_used(shop: Estate) -> None:
    shop.back_up()
    with shop.world.engine.begin() as connection:
        connection.execute(sqlalchemy.text("UPDATE server_manifest SET content = substr(content, 1, 100)"))
    assert shop.back_up().kind == "full"


def test_only_the_newest_manifest_is_kept(shop: Estate) -> None:
    shop.back_up()
    newest = shop.back_up()
    with shop.world.engine.connect() as connection:
        kept: list[Any] = list(
            connection.execute(sqlalchemy.text("SELECT DISTINCT backup_id FROM server_manifest"))
        )
    assert [row[0] for row in kept] == [newest.backup_id]
    assert manifest_key("shop", newest.backup_id) == newest.manifest_key
