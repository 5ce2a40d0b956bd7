"""Clusters with tablespaces: each is an object of its own, and a restore never touches the place it came from."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from strongroom.backup import SourceChangedError
from strongroom.backup.interface import BackupRequest
from strongroom.backup.physical import PhysicalEngine
from strongroom.backup.verification import VerificationChecks
from strongroom.postgres import Cluster
from tests.integration.chains.estate import PLAIN, SUMMARISED, Estate, Server, checks_of, estate, server

SMALL = ("--data-checksums", "--wal-segsize=1")
FAST = VerificationChecks(amcheck=False)


@pytest.fixture(scope="module", params=[18, 15])
def spaced(request: pytest.FixtureRequest) -> Iterator[Server]:
    """A source with two tablespaces, one of them empty."""
    settings = SUMMARISED if request.param >= 17 else PLAIN
    with server(request.param, settings, initdb=SMALL) as running:
        running.tablespace("fast")
        running.tablespace("empty")
        running.execute(
            "CREATE TABLE public.here AS SELECT g FROM generate_series(1, 1000) g",
            "CREATE TABLE public.there TABLESPACE fast AS SELECT g, md5(g::text) FROM generate_series(1, 5000) g",
            "CREATE INDEX there_g ON public.there (g) TABLESPACE fast",
        )
        yield running


@pytest.fixture
def estate_with_spaces(spaced: Server, control_server: Cluster) -> Iterator[Estate]:
    with estate(spaced, control_server) as made:
        yield made


def files_below(*places: Path) -> dict[str, bytes]:
    found = [path for place in places for path in sorted(place.rglob("*")) if path.is_file()]
    return {str(path): path.read_bytes() for path in found}


def test_each_tablespace_is_sealed_on_its_own_and_restored_elsewhere(estate_with_spaces: Estate) -> None:
    here = estate_with_spaces
    taken = [here.back_up()]
    here.server.execute("UPDATE public.there SET g = g WHERE g % 1000 = 0")
    taken.append(here.back_up())
    manifest = here.manifest(taken[0].backup_id)
    oids = [
        row[0] for row in here.server.execute("SELECT oid FROM pg_tablespace WHERE oid >= 16384 ORDER BY oid")
    ]
    assert sorted(item.tablespace_oid or 0 for item in manifest.having("tablespace")) == oids
    here.server.execute("CHECKPOINT")
    places = [here.server.scratch.directory / f"space-{name}" for name in ("fast", "empty")]
    before = files_below(*places)
    for item in taken:
        proof = here.prove(item.backup_id, FAST)
        assert proof.problems() == []
        assert checks_of(proof)["L3 pg_verifybackup"] == "passed"
    assert files_below(*places) == before
    assert [item.kind for item in taken][1] == (
        "incremental" if here.server.cluster.binaries.major >= 17 else "full"
    )


def test_a_tablespace_that_is_made_while_a_backup_runs_fails_that_run(
    estate_with_spaces: Estate, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = estate_with_spaces
    original = PhysicalEngine._base
    place: list[Path] = []

    def base_and_a_new_tablespace(self: PhysicalEngine, request: BackupRequest, *rest: object) -> object:
        place.append(here.server.tablespace("late"))
        return original(self, request, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(PhysicalEngine, "_base", base_and_a_new_tablespace)
    try:
        with pytest.raises(SourceChangedError, match="created or dropped"):
            here.back_up()
    finally:
        here.server.execute("DROP TABLESPACE late")
    monkeypatch.undo()
    assert here.back_up().debris_removed > 0
    assert here.world.incomplete() == []


def test_log_that_makes_a_tablespace_is_not_replayed(
    estate_with_spaces: Estate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Made and dropped again before anybody looked: the log tells, and the place at the source is not touched."""
    here = estate_with_spaces
    original = PhysicalEngine._base

    def base_and_a_passing_tablespace(self: PhysicalEngine, request: BackupRequest, *rest: object) -> object:
        found = original(self, request, *rest)  # type: ignore[arg-type]
        here.server.tablespace("passing")
        here.server.execute("DROP TABLESPACE passing")
        return found

    monkeypatch.setattr(PhysicalEngine, "_base", base_and_a_passing_tablespace)
    backup = here.back_up()
    proof = here.prove(backup.backup_id, FAST)
    assert not proof.proven
    failed = [check.detail for _, check in proof.problems() if check.status == "failed"]
    assert len(failed) == 1
    assert "The log creates the tablespace" in failed[0]


def test_tablespaces_under_load_are_whole(estate_with_spaces: Estate) -> None:
    here = estate_with_spaces
    stop = threading.Event()

    def write() -> None:
        while not stop.is_set():
            here.server.execute("INSERT INTO public.there SELECT g, 'new' FROM generate_series(1, 200) g")

    writer = threading.Thread(target=write)
    writer.start()
    try:
        here.back_up()
        here.back_up()
    finally:
        stop.set()
        writer.join()
    proof = here.prove(checks=FAST)
    assert [
        check.status for level in proof.levels for check in level.checks if check.status == "failed"
    ] == []
    assert [table.table for table in proof.not_comparable if table.table != "there"] == []
