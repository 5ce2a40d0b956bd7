"""Chains with tablespaces and large segments come back by the restore service, and by the bare script."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from strongroom.audit import QueueRecorder
from strongroom.backup.restoring.request import RestoreRequest, RestoreTarget
from strongroom.backup.restoring.service import PhysicalRestoreService, RestoreParts
from strongroom.postgres import Cluster, ServerBinaries, connect
from strongroom.postgres.account import process_options
from strongroom.postgres.processes import end_postmaster
from strongroom.sealing import LocalKeyProvider
from tests.integration.backup.world import ACTOR
from tests.integration.chains.estate import SUMMARISED, Estate, Server, estate, open_directory, server
from tests.support import REPOSITORY

CONTENT = """
SELECT count(*), sum(hashtext(t::text)) FROM (
  SELECT 'customer', id, email FROM public.customer UNION ALL SELECT 'order', id, text FROM public.orders) t
"""


@dataclass(frozen=True)
class Taken:
    """A chain, and what the tables held at each of its backups."""

    estate: Estate
    ids: list[str]
    contents: list[object]


@pytest.fixture(scope="module")
def large_segments() -> Iterator[Server]:
    with server(18, SUMMARISED, initdb=("--data-checksums", "--wal-segsize=64")) as running:
        running.tablespace("fast")
        running.execute(
            "CREATE TABLE public.customer AS SELECT g AS id, 'c' || g AS email FROM generate_series(1, 5000) g",
            "CREATE TABLE public.orders TABLESPACE fast AS"
            " SELECT g AS id, md5(g::text) AS text FROM generate_series(1, 5000) g",
            "CHECKPOINT",
        )
        yield running


@pytest.fixture(scope="module")
def taken(large_segments: Server, control_server: Cluster) -> Iterator[Taken]:
    with estate(large_segments, control_server) as made:
        ids, contents = [], []
        for number in range(3):
            large_segments.execute(
                f"UPDATE public.customer SET email = 'n{number}' WHERE id % 100 = {number}",
                f"INSERT INTO public.orders SELECT g, 'new' FROM generate_series(1, {number * 100}) g",
            )
            contents.append(large_segments.execute(CONTENT)[0])
            ids.append(made.back_up().backup_id)
        large_segments.execute("TRUNCATE public.orders")
        yield Taken(made, ids, contents)


def files_below(place: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in sorted(place.rglob("*")) if path.is_file()}


def test_the_service_restores_a_chain_beside_the_living_tablespace(taken: Taken) -> None:
    world = taken.estate.world
    provider = LocalKeyProvider(world.key_file)
    parts = world.parts()
    service = PhysicalRestoreService(
        RestoreParts(
            store=world.store,
            verifier=world.signer.verifier,
            keyring=world.keyring(),
            provider=provider,
            clock=parts.clock,
            vault=taken.estate.vault(provider),
            events=QueueRecorder(lambda: world.engine, parts.sink),
        )
    )
    taken.estate.server.execute("CHECKPOINT")
    living = taken.estate.server.scratch.directory / "space-fast"
    before = files_below(living)
    for number, backup_id in enumerate(taken.ids):
        with open_directory() as root:
            into = root / "restored"
            target = RestoreTarget("backup")
            plan = service.plan(
                ACTOR, RestoreRequest("shop", target, into, backup_id=backup_id, start=True)
            ).plan
            assert [item.id for item in plan.backups] == taken.ids[: number + 1]
            report = service.run(ACTOR, plan, plan.sha256)
            try:
                conninfo = f"host={report.socket_directory} user=postgres dbname=postgres"
                with connect(conninfo, application_name="test") as connection:
                    assert connection.execute(CONTENT.encode()).fetchone() == taken.contents[number]
                links = [path.readlink() for path in Path(report.data_directory, "pg_tblspc").iterdir()]
                assert [link.is_relative_to(into) for link in links] == [True]
            finally:
                end_postmaster(Path(report.data_directory))
            assert not (into / "staging").exists()
    assert files_below(living) == before


def test_the_bare_script_restores_the_same_chain(taken: Taken) -> None:
    source = taken.estate.server
    before = files_below(source.scratch.directory / "space-fast")
    with open_directory() as desk:
        shutil.copytree(taken.estate.world.directory / "bucket", desk / "bucket")
        shutil.copy(REPOSITORY / "docs" / "restore.sh", desk / "restore.sh")
        (desk / "identity").write_text(taken.estate.world.identity() + "\n")
        if source.scratch.account is not None:
            for path in (desk, *desk.rglob("*")):
                os.chown(path, source.scratch.account.uid, source.scratch.account.gid)
        try:
            done = _script(desk, source, taken)
            assert done.returncode == 0, done.stderr[-1500:]
            conninfo = f"host={desk / 'restored.restore'} user=postgres dbname=postgres"
            with connect(conninfo, application_name="test") as connection:
                assert connection.execute(CONTENT.encode()).fetchone() == taken.contents[-1]
                (place,) = connection.execute(
                    "SELECT pg_tablespace_location(oid) FROM pg_tablespace WHERE spcname = 'fast'"
                ).fetchone() or ("",)
            assert place.startswith(str(desk))
        finally:
            end_postmaster(desk / "restored")
    assert files_below(source.scratch.directory / "space-fast") == before


def _script(desk: Path, source: Server, taken: Taken) -> subprocess.CompletedProcess[str]:
    binaries: ServerBinaries = source.cluster.binaries
    options = process_options(source.scratch.account) | {"cwd": desk}
    options["env"]["PATH"] = f"{binaries.bin_dir}:/usr/bin:/bin"
    verifier = str(taken.estate.world.signer.verifier)
    arguments = ["-b", "bucket", "-i", "identity", "-d", "shop", "-k", verifier, "-t", "restored"]
    return subprocess.run(
        ["bash", "restore.sh", *arguments],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
        **options,
    )


def test_a_chain_that_lost_its_middle_is_refused_before_anything_is_written(taken: Taken) -> None:
    world = taken.estate.world
    with open_directory() as elsewhere:
        shutil.copytree(world.directory, elsewhere / "copy")
        copy = replace(world, directory=elsewhere / "copy")
        middle = taken.estate.manifest(taken.ids[1])
        (elsewhere / "copy" / "bucket" / middle.key).unlink(missing_ok=True)
        for item in list(copy.store.list_versions(middle.key)):
            copy.store.delete_version(item.key, item.version_id)
        proof = replace(taken.estate, world=copy).prove(taken.ids[2])
        assert not proof.proven
        assert "is not in the bucket" in proof.problems()[0][1].detail
