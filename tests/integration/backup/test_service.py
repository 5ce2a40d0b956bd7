"""A backup of a living cluster is whole, sealed, recorded, and can be opened by `age`, `zstd` and `tar` alone."""

from __future__ import annotations

import io
import json
import shutil
import signal
import subprocess
import sys
import tarfile
import threading
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy

from strongroom.access import Actor, Role
from strongroom.access.actor import ActorKind
from strongroom.backup import (
    BackupInProgressError,
    BackupManifest,
    SourceNotReadyError,
    parse_fingerprints,
    read_manifest,
)
from strongroom.backup.preflight import check_source
from strongroom.errors import AccessDeniedError, TransientError
from strongroom.postgres import (
    Cluster,
    MissingPrivilegeError,
    connect,
    find_binaries,
    parse_lsn,
    scratch_cluster,
    segment_name,
    table_fingerprint,
    tables,
)
from strongroom.sealing import OpeningPipeline, parse_identity
from tests.integration.backup.conftest import server_root
from tests.integration.backup.world import ACTOR, PLAN, World
from tests.support import TEST_DATA, require


def opened(world: World, manifest: BackupManifest, role: str) -> bytes:
    item = manifest.object(role)  # type: ignore[arg-type]
    with world.store.open_range(item.key) as file:
        pipeline = OpeningPipeline(
            file, [parse_identity(world.identity())], context=item.stored().context, decompress=True
        )
        return b"".join(bytes(piece) for piece in pipeline)


def manifest_of(world: World, key: str) -> BackupManifest:
    return read_manifest(world.store.get_bytes(key), world.signer.verifier)


def test_a_backup_taken_while_rows_are_written_is_whole(world: World) -> None:
    stop = threading.Event()

    def write() -> None:
        with connect(world.conninfo, application_name="writer") as connection:
            while not stop.is_set():
                connection.execute("INSERT INTO public.busy VALUES (1)")

    writer = threading.Thread(target=write)
    writer.start()
    try:
        summary = world.service().run(ACTOR, PLAN, world.conninfo)
    finally:
        stop.set()
        writer.join()

    manifest = manifest_of(world, summary.manifest_key)
    with tarfile.open(fileobj=io.BytesIO(opened(world, manifest, "base"))) as base:
        names = set(base.getnames())
    assert {"backup_label", "global/pg_control", "backup_manifest", "PG_VERSION"} <= names
    with tarfile.open(fileobj=io.BytesIO(opened(world, manifest, "wal"))) as wal:
        segments = wal.getnames()
    size = manifest.server.wal_segment_bytes
    last = segment_name(1, parse_lsn(manifest.restore_point.lsn) - 1, size)
    assert segments[-1] == last
    assert f"pg_wal/{segments[0]}" not in names

    document = parse_fingerprints(opened(world, manifest, "fingerprints"))
    found = {(table.schema, table.name): table for table in document.databases["shop"].tables}
    assert found["public", "busy"].reason is not None
    assert found["public", "cache"].reason == "unlogged: a restore empties it"
    with connect(world.conninfo, application_name="test") as connection:
        now = {
            (table.schema, table.name): table_fingerprint(connection, table, document.seed).hash
            for table in tables(connection)
        }
    comparable = {name: table.hash for name, table in found.items() if table.comparable}
    assert set(comparable) == {
        ("public", "customer"),
        ("public", "orders_2025"),
        ('Odd "names', "drop; table 'x'"),
    }
    assert comparable == {name: now[name] for name in comparable}
    with connect(world.conninfo, application_name="test") as connection:
        assert connection.execute("SELECT count(*) FROM pg_replication_slots").fetchone() == (0,)


def test_a_table_with_an_open_transaction_is_not_called_comparable(world: World) -> None:
    with connect(world.conninfo, application_name="test") as open_session:
        open_session.execute("BEGIN")
        open_session.execute("UPDATE public.customer SET email = 'x' WHERE id = 1")
        summary = world.service().run(ACTOR, PLAN, world.conninfo)
        open_session.execute("ROLLBACK")
    manifest = manifest_of(world, summary.manifest_key)
    found = parse_fingerprints(opened(world, manifest, "fingerprints")).databases["shop"].tables
    reasons = {table.name: table.reason for table in found}
    assert reasons["customer"] == "a transaction was writing to it at the snapshot"
    assert reasons["orders_2025"] is None


def test_age_zstd_and_tar_alone_list_the_clusters_files(world: World) -> None:
    for program in ("age", "zstd", "tar"):
        require(f"the command {program}", shutil.which(program) is not None)
    summary = world.service().run(ACTOR, PLAN, world.conninfo)
    key = world.directory / "identity"
    key.write_text(world.identity() + "\n")
    path = world.directory / "bucket" / next(k for k in summary.object_keys if "base" in k)
    command = f"age -d -i '{key}' '{path}' | zstd -d | tar t"
    listed = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True, check=True
    )
    assert {"backup_label", "global/pg_control", "backup_manifest"} <= set(listed.stdout.splitlines())


def test_the_run_is_recorded_with_its_backup(world: World) -> None:
    summary = world.service().run(ACTOR, PLAN, world.conninfo)
    with world.engine.connect() as connection:
        rows = connection.execute(sqlalchemy.text("SELECT entry FROM audit_queue ORDER BY 1")).scalars().all()
        backups = connection.execute(sqlalchemy.text("SELECT backup_id FROM backup")).scalars().all()
    events = [json.loads(bytes(row)) for row in rows]
    own = [event["data"] for event in events if event["type"] == "backup:run:execute"]
    assert {(event["phase"], event.get("outcome")) for event in own} == {
        ("attempt", None),
        ("result", "success"),
    }
    assert len({event["correlation_id"] for event in own}) == 1
    assert backups == [summary.backup_id]


def test_an_auditor_may_not_take_backups_and_the_attempt_is_recorded(world: World) -> None:
    auditor = Actor("reader", ActorKind.TASK, frozenset({Role.AUDITOR}))
    with pytest.raises(AccessDeniedError):
        world.service().run(auditor, PLAN, world.conninfo)
    with world.engine.connect() as connection:
        row = connection.execute(sqlalchemy.text("SELECT entry FROM audit_queue")).scalar_one()
    assert json.loads(bytes(row))["data"]["outcome"] == "denied"


@pytest.mark.parametrize("stage", ["base", "wal", "fingerprints", "manifest", "catalogue"])
def test_after_a_kill_the_next_run_succeeds_and_leaves_no_debris(world: World, stage: str) -> None:
    command = [sys.executable, "-m", "tests.integration.backup.world", str(world.write_config()), stage]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as killed:
        assert killed.wait() == -signal.SIGKILL

    summary = world.service().run(ACTOR, PLAN, world.conninfo)

    assert world.incomplete() == []
    with world.engine.connect() as connection:
        known = connection.execute(sqlalchemy.text("SELECT count(*) FROM backup")).scalar_one()
        objects = set(connection.execute(sqlalchemy.text("SELECT key FROM vault_object")).scalars())
    assert known == (2 if stage == "catalogue" else 1)
    assert set(summary.object_keys) <= objects
    assert all((world.directory / "bucket" / key).is_file() for key in objects)
    assert not list(Path("/dev/shm").glob(f"strongroom-wal.{killed.pid}.*"))


def test_of_two_backups_at_once_exactly_one_runs(world: World) -> None:
    reached, go_on = threading.Event(), threading.Event()

    def progress(_stage: str, _amount: int) -> None:
        reached.set()
        go_on.wait(30)

    done: list[str] = []
    first = threading.Thread(
        target=lambda: done.append(
            world.service().run(ACTOR, PLAN, world.conninfo, progress=progress).backup_id
        )
    )
    first.start()
    assert reached.wait(30)
    try:
        with pytest.raises(BackupInProgressError):
            world.service().run(ACTOR, PLAN, world.conninfo)
    finally:
        go_on.set()
        first.join()
    assert len(done) == 1
    assert world.incomplete() == []


def test_the_source_stopping_in_the_middle_is_worth_another_try(world: World, source: Cluster) -> None:
    def stop_source(stage: str, _amount: int) -> None:
        if stage == "base" and source.running():
            source.stop("immediate")

    try:
        with pytest.raises(TransientError):
            world.service().run(ACTOR, PLAN, world.conninfo, progress=stop_source)
    finally:
        source.start()
    assert not list((world.directory / "bucket").rglob("manifest.json"))
    world.service().run(ACTOR, PLAN, world.conninfo)
    assert world.incomplete() == []


def test_a_user_without_privileges_is_told_the_exact_grants(world: World) -> None:
    with connect(world.conninfo, application_name="test") as connection:
        connection.execute('DROP ROLE IF EXISTS "back up"')
        connection.execute('CREATE ROLE "back up" LOGIN')
    with (
        connect(f"{world.conninfo} user='back up'", application_name="test") as limited,
        pytest.raises(MissingPrivilegeError) as caught,
    ):
        check_source(limited, reads_tables=True)
    statements = (caught.value.hint or "").splitlines()[1:]
    assert len(statements) == 4
    with connect(world.conninfo, application_name="test") as connection:
        for statement in statements:
            connection.execute(statement.encode())
    with connect(f"{world.conninfo} user='back up'", application_name="test") as granted:
        assert check_source(granted, reads_tables=True).major == 18
    limited_run = world.service().run(ACTOR, PLAN, f"{world.conninfo} user='back up'")
    assert limited_run.stored_bytes > 0


def test_a_server_that_writes_too_little_wal_is_refused() -> None:
    with server_root() as root, scratch_cluster(root, find_binaries(), "minimal") as scratch:
        cluster = scratch.cluster({"wal_level": "minimal", "max_wal_senders": "0", "fsync": "off"})
        cluster.initialise()
        cluster.start()
        with (
            connect(cluster.conninfo(), application_name="test") as connection,
            pytest.raises(SourceNotReadyError, match="wal_level"),
        ):
            check_source(connection, reads_tables=False)


@pytest.mark.parametrize("major", [15, 18])
def test_pagila_is_backed_up_from_an_older_server_too(world: World, major: int) -> None:
    require("PostgreSQL 15", major != 15 or Path("/usr/lib/postgresql/15/bin/postgres").is_file())
    with server_root() as root, scratch_cluster(root, find_binaries(major), "pagila") as scratch:
        cluster = scratch.cluster({"fsync": "off"})
        cluster.initialise()
        cluster.start()
        with connect(cluster.conninfo(), application_name="test") as connection:
            connection.execute("CREATE DATABASE pagila")
        load = [find_binaries().tool("psql"), "-q", "-v", "ON_ERROR_STOP=1", "-f", TEST_DATA / "pagila.sql"]
        subprocess.run([*load, cluster.conninfo("pagila")], check=True, capture_output=True)
        pagila = replace(world, conninfo=cluster.conninfo("pagila"))
        summary = pagila.service().run(ACTOR, PLAN, pagila.conninfo)
    manifest = manifest_of(pagila, summary.manifest_key)
    assert manifest.server.major == major
    found = parse_fingerprints(opened(pagila, manifest, "fingerprints")).databases["pagila"].tables
    assert len(found) > 15
    assert all(table.comparable for table in found)
    sealed = world.directory / "bucket" / manifest.objects[0].key
    assert sealed.stat().st_size == manifest.objects[0].size_bytes
