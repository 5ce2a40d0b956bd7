"""A logical backup is proven by restoring it into an empty server, and every ordinary table must equal its source."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from strongroom.audit import QueueSink
from strongroom.backup import BackupManifest
from strongroom.backup.verification import (
    Proof,
    RestoreVerifier,
    Status,
    VerificationChecks,
    VerificationParts,
)
from strongroom.backup.verification.levels import Level
from strongroom.backup.verification.logical import LOGICAL_LADDER
from strongroom.clock import SystemClock
from strongroom.postgres import Cluster, connect
from strongroom.sealing import LocalKeyProvider
from strongroom.storage import Condition
from strongroom.vault import SealedVault, VaultParts
from tests.integration.backup.world import ACTOR, World
from tests.integration.logical.source import pagila_server, psql, query
from tests.integration.logical.test_taking import back_up
from tests.integration.verification.place import Meddling
from tests.support import require

QUICK = VerificationChecks(amcheck=False)


@pytest.fixture
def scratch_root() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="sr-") as directory:
        Path(directory).chmod(0o755)
        yield Path(directory)
        assert list(Path(directory).iterdir()) == []


def verify(
    world: World,
    scratch_root: Path,
    manifest: BackupManifest,
    checks: VerificationChecks = QUICK,
    levels: list[Level] | None = None,
) -> Proof:
    engine, sink, clock = world.engine, QueueSink(), SystemClock()
    provider = LocalKeyProvider(world.key_file)
    vault = SealedVault(VaultParts(world.store, world.keyring(), provider, engine, sink, clock))
    parts = VerificationParts(
        world.store, vault, engine, sink, world.signer, clock, scratch_root, world.directory
    )
    verifier = RestoreVerifier(parts, levels=levels)
    return verifier.verify_checks(ACTOR, "shop", checks, manifest.backup_id)


def problems(proof: Proof) -> dict[str, str]:
    return {f"{level} {check.name}": check.detail for level, check in proof.problems()}


@pytest.mark.parametrize("major", [18, 15])
def test_pagila_with_everything_odd_is_proven_on_every_level(
    world: World, scratch_root: Path, major: int
) -> None:
    require("PostgreSQL 15", major != 15 or Path("/usr/lib/postgresql/15/bin/postgres").is_file())
    if major == 15:
        with pagila_server(major) as older:
            manifest = back_up(replace(world, conninfo=older.conninfo("pagila")))
    else:
        manifest = back_up(world)
    smoke = (
        "select count(*) = 1000 from public.film",
        "select bool_and(amount is not null) from parts.money",
    )
    proof = verify(world, scratch_root, manifest, VerificationChecks(smoke_sql=smoke))
    assert problems(proof) == {}
    assert proof.proven
    states = {level.level: level.status for level in proof.levels}
    assert states == dict.fromkeys(("L0", "L1", "L3", "L4", "L5"), Status.PASSED) | {
        "L2": Status.NOT_APPLICABLE
    }
    assert {(table.schema, table.table) for table in proof.not_comparable} == {
        ("parts", "hashed_0"),
        ("parts", "hashed_1"),
        ("parts", "summary"),
    }
    assert proof.rto_seconds is not None
    assert proof.rpo_seconds is not None


def test_an_altered_or_missing_object_fails_its_level_and_loads_nothing_of_it(
    world: World, scratch_root: Path
) -> None:
    manifest = back_up(world)
    rows = next(item for item in manifest.having("data") if "sequences" not in item.name)
    data = bytearray(world.store.get_bytes(rows.key))
    data[-20] ^= 1
    world.store.put_bytes(rows.key, bytes(data), condition=Condition.OVERWRITE)
    found = problems(verify(world, scratch_root, manifest))
    assert f"L0 {rows.name} hash" in found
    assert f"L1 {rows.name} opens" in found
    assert found["L3 whole level"] == "not possible, because L0 failed"

    world.store.delete_version(rows.key, None)
    found = problems(verify(world, scratch_root, manifest))
    assert "is not in the bucket" in found[f"L0 {rows.name} present"]


def test_an_object_of_another_backup_in_its_place_is_not_taken(world: World, scratch_root: Path) -> None:
    first, second = back_up(world), back_up(world)
    for role in ("contents", "pre"):
        [ours], [theirs] = second.having(role), first.having(role)  # type: ignore[arg-type]
        good = world.store.get_bytes(ours.key)
        world.store.put_bytes(ours.key, world.store.get_bytes(theirs.key), condition=Condition.OVERWRITE)
        assert not verify(world, scratch_root, second).proven
        world.store.put_bytes(ours.key, good, condition=Condition.OVERWRITE)
    assert verify(world, scratch_root, second).proven


def test_a_row_that_differs_is_found(world: World, scratch_root: Path) -> None:
    manifest = back_up(world)

    def meddle(restore: object) -> None:
        cluster: Cluster = restore.cluster  # type: ignore[attr-defined]
        query(cluster.conninfo("pagila"), "UPDATE public.film SET title = 'X' WHERE film_id = 7")

    levels = [*LOGICAL_LADDER[:4], Meddling(meddle), *LOGICAL_LADDER[4:]]
    found = problems(verify(world, scratch_root, manifest, levels=levels))
    assert list(found) == ["L5 fingerprints"]
    assert "pagila.public.film has other content" in found["L5 fingerprints"]


def test_a_dump_that_does_not_load_is_not_proven_and_says_where(
    world: World, pagila: Cluster, scratch_root: Path
) -> None:
    query(pagila.conninfo(), "CREATE DATABASE breaks")
    psql(
        pagila.conninfo("breaks"),
        """CREATE TABLE a (x int); INSERT INTO a VALUES (1);
           CREATE FUNCTION known(int) RETURNS bool LANGUAGE sql AS 'SELECT EXISTS (SELECT FROM a WHERE x = $1)';
           CREATE TABLE b (x int CHECK (known(x))); INSERT INTO b VALUES (1);""",
    )
    manifest = back_up(replace(world, conninfo=pagila.conninfo("breaks")))
    found = problems(verify(world, scratch_root, manifest))
    assert 'relation "a" does not exist' in found["L3 restore"]
    query(pagila.conninfo(), "DROP DATABASE breaks")


def test_a_restored_server_has_the_roles_and_the_sequences(world: World, scratch_root: Path) -> None:
    manifest = back_up(world)
    seen: list[object] = []

    def look(restore: object) -> None:
        cluster: Cluster = restore.cluster  # type: ignore[attr-defined]
        with connect(cluster.conninfo("pagila"), application_name="test") as connection:
            seen.append(connection.execute("SELECT nextval('parts.free')").fetchone())
            roles = "SELECT array_agg(rolname::text ORDER BY 1) FROM pg_roles WHERE rolname !~ '^pg_'"
            seen.append(connection.execute(roles).fetchone())

    levels = [*LOGICAL_LADDER[:4], Meddling(look), *LOGICAL_LADDER[4:]]
    verify(world, scratch_root, manifest, levels=levels)
    assert seen[0] == (25,)
    assert {"Shop Owner", "reader"} <= set(seen[1][0])  # type: ignore[index]
