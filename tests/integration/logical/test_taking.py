"""A logical backup is one moment of one database, sealed, and opens with everybody's tools."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from strongroom.backup import BackupManifest, SourceFailedError, parse_fingerprints, read_manifest
from strongroom.backup.logical import (
    TableLockedError,
    UnreadableTablesError,
    parse_contents,
    snapshot,
)
from strongroom.errors import StrongroomError
from strongroom.postgres import Cluster, connect, find_binaries
from strongroom.sealing import OpeningPipeline, parse_identity
from tests.integration.backup.world import ACTOR, LOGICAL, World
from tests.integration.logical.source import (
    ODD_SCHEMA,
    ODD_TABLE,
    contents,
    pagila_server,
    psql,
    query,
    structure,
)
from tests.support import require


def back_up(world: World) -> BackupManifest:
    summary = world.service().run(ACTOR, LOGICAL, world.conninfo)
    return read_manifest(world.store.get_bytes(summary.manifest_key), world.signer.verifier)


def opened(world: World, manifest: BackupManifest, name: str) -> bytes:
    [item] = [item for item in manifest.objects if item.name == name]
    with world.store.open_range(item.key) as file:
        pipeline = OpeningPipeline(
            file, [parse_identity(world.identity())], context=item.stored().context, decompress=True
        )
        return b"".join(bytes(piece) for piece in pipeline)


def by_hand(world: World, manifest: BackupManifest, target: str, major: int) -> None:
    """The order that docs/logical-backups.md gives: globals are there, so pre, data, large objects, post."""
    key = world.directory / "identity.txt"
    key.write_text(world.identity() + "\n")
    bin_dir = find_binaries(major).bin_dir
    bucket = world.directory / "bucket"
    restore = f"{bin_dir}/pg_restore --exit-on-error --no-password -d '{target}'"
    script = f"{bin_dir}/psql -X -q -v ON_ERROR_STOP=1 -d '{target}'"
    for role, program in (("pre", restore), ("data", script), ("large_objects", restore), ("post", restore)):
        for item in manifest.having(role):  # type: ignore[arg-type]
            command = f"age -d -i {key} {bucket}/{item.key} | zstd -d | {program}"
            done = subprocess.run(["bash", "-o", "pipefail", "-c", command], capture_output=True, check=False)
            assert done.returncode == 0, (item.name, done.stderr.decode())


@pytest.mark.parametrize("major", [18, 15])
def test_age_zstd_psql_and_pg_restore_alone_bring_everything_back(
    world: World, pagila: Cluster, major: int
) -> None:
    require("age and zstd", all(map(shutil.which, ("age", "zstd"))))
    require("PostgreSQL 15", major != 15 or Path("/usr/lib/postgresql/15/bin/postgres").is_file())
    if major != 18:
        with pagila_server(major) as older:
            _compare_by_hand(replace(world, conninfo=older.conninfo("pagila")), older, major)
    else:
        _compare_by_hand(world, pagila, major)


def _compare_by_hand(world: World, cluster: Cluster, major: int) -> None:
    manifest = back_up(world)
    query(cluster.conninfo(), "CREATE DATABASE by_hand TEMPLATE template0")
    target = cluster.conninfo("by_hand")
    by_hand(world, manifest, target, major)
    before, after = contents(world.conninfo), contents(target)
    moved = {("parts", "hashed_0"), ("parts", "hashed_1")}
    assert {key: value for key, value in after.items() if key not in moved} == {
        key: value for key, value in before.items() if key not in moved
    }
    assert sum(after[key][0] for key in moved) == 300
    assert structure(target) == structure(world.conninfo)
    assert (manifest.server.major, manifest.method) == (major, "logical")
    query(cluster.conninfo(), "DROP DATABASE by_hand")


def test_what_it_holds_is_told_in_the_snapshot_it_was_taken_in(world: World) -> None:
    stop = threading.Event()

    def write() -> None:
        with connect(world.conninfo, application_name="writer") as connection:
            while not stop.is_set():
                connection.execute("INSERT INTO parts.parent VALUES (1)")

    writer = threading.Thread(target=write)
    writer.start()
    try:
        manifest = back_up(world)
    finally:
        stop.set()
        writer.join()
    found = (
        parse_fingerprints(opened(world, manifest, "fingerprints.json.zst.age")).databases["pagila"].tables
    )
    told = {(table.schema, table.name): table for table in found}
    held = parse_contents(opened(world, manifest, "contents.json.zst.age"))
    [parent] = [table for table in held.tables if table.name == "parent"]
    script = opened(world, manifest, parent.object).decode()
    rows = script.split(parent.copy_in() + ";\n", 1)[1].split("\\.\n", 1)[0].splitlines()
    assert len(rows) == told["parts", "parent"].rows
    assert told["parts", "parent"].comparable
    reasons = {name: table.reason for name, table in told.items() if not table.comparable}
    assert reasons == {
        ("parts", "summary"): "materialized: a restore computes it anew",
        ("parts", "hashed_0"): "its partition is chosen by a hash that differs from server to server",
        ("parts", "hashed_1"): "its partition is chosen by a hash that differs from server to server",
    }
    assert told[ODD_SCHEMA, ODD_TABLE].rows == 4
    assert {"Shop Owner", "reader", "postgres"} <= set(held.roles)
    assert held.database.settings == ("work_mem=7MB",)
    [free] = [sequence for sequence in held.sequences if sequence.name == "free"]
    assert (free.last_value, free.is_called) == (15, True)
    assert manifest.restore_point.name == f"snapshot {held.snapshot}"


def test_a_user_without_replication_rights_can_take_it(world: World) -> None:
    query(world.conninfo, 'CREATE ROLE "back up" LOGIN')
    limited = replace(world, conninfo=f"{world.conninfo} user='back up'")
    with pytest.raises(UnreadableTablesError, match="may not read") as caught:
        back_up(limited)
    query(world.conninfo, (caught.value.hint or "").split(": ", 1)[1])
    with pytest.raises(UnreadableTablesError, match="Row security") as caught:
        back_up(limited)
    assert 'ALTER ROLE "back up" BYPASSRLS' in (caught.value.hint or "")
    query(world.conninfo, 'ALTER ROLE "back up" BYPASSRLS')
    with pytest.raises(StrongroomError, match="permission denied for large object"):
        back_up(limited)
    [[oid]] = query(world.conninfo, "SELECT oid FROM pg_largeobject_metadata")
    query(world.conninfo, f'GRANT SELECT ON LARGE OBJECT {oid} TO "back up"')
    manifest = back_up(limited)
    assert b"PASSWORD" not in opened(limited, manifest, "globals.sql.zst.age")
    psql(world.conninfo, 'DROP OWNED BY "back up"; DROP ROLE "back up";')


def test_a_table_cannot_be_dropped_while_the_backup_runs(world: World) -> None:
    query(world.conninfo, "CREATE TABLE public.doomed AS SELECT generate_series(1, 10) AS x")
    refused: list[str] = []

    def progress(stage: str, _amount: int) -> None:
        if stage == "data" and not refused:
            refused.append("")
            with connect(world.conninfo, application_name="dropper") as connection:
                connection.execute("SET lock_timeout = '100ms'")
                with pytest.raises(psycopg.errors.LockNotAvailable):
                    connection.execute("DROP TABLE public.doomed")

    summary = world.service().run(ACTOR, LOGICAL, world.conninfo, progress=progress)
    assert refused
    manifest = read_manifest(world.store.get_bytes(summary.manifest_key), world.signer.verifier)
    held = parse_contents(opened(world, manifest, "contents.json.zst.age"))
    assert "doomed" in {table.name for table in held.tables}
    query(world.conninfo, "DROP TABLE public.doomed")


def test_a_table_that_somebody_else_has_locked_fails_the_backup_and_leaves_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshot, "LOCK_TIMEOUT_SECONDS", 1)
    with connect(world.conninfo, application_name="migration") as migration:
        migration.execute("BEGIN")
        migration.execute("LOCK TABLE public.film IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(TableLockedError, match="locked by another session"):
            back_up(world)
        migration.execute("ROLLBACK")
    assert world.incomplete() == []


def test_a_source_that_breaks_in_the_middle_fails_the_backup_and_the_next_run_cleans_up(world: World) -> None:
    def progress(stage: str, _amount: int) -> None:
        if stage == "data":
            query(
                world.conninfo,
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name IN ('psql', 'pg_dump')",
            )
            time.sleep(0.05)

    with pytest.raises((SourceFailedError, StrongroomError)) as caught:
        world.service().run(ACTOR, LOGICAL, world.conninfo, progress=progress)
    assert caught.value.retryable
    back_up(world)
    assert world.incomplete() == []


@pytest.mark.parametrize("stage", ["data", "fingerprints", "manifest", "catalogue"])
def test_a_backup_killed_at_any_stage_leaves_nothing_that_the_next_does_not_clear(
    world: World, stage: str
) -> None:
    config = str(world.write_config("logical"))
    command = [sys.executable, "-m", "tests.integration.backup.world", config]
    killed = subprocess.run([*command, stage], check=False, capture_output=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    summary = world.service().run(ACTOR, LOGICAL, world.conninfo)
    assert world.incomplete() == []
    if stage in ("data", "fingerprints"):
        assert summary.debris_removed > 0
