"""The matrix: versions, checksums, segment sizes, many tables, large tables, and pgbench writing all the while."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from strongroom.backup.verification import Proof, VerificationChecks
from strongroom.postgres import Cluster
from strongroom.postgres.account import process_options
from tests.integration.chains.estate import PLAIN, SUMMARISED, Server, checks_of, estate, server

FAST = VerificationChecks(amcheck=False)
LARGE_SEGMENTS = "--wal-segsize=64"
NO_CHECKSUMS = "--no-data-checksums"


@contextmanager
def pgbench(source: Server) -> Iterator[None]:
    """Two clients write as fast as they can while the block runs; it must have been something."""
    program = str(source.cluster.binaries.tool("pgbench"))
    connection = [f"--host={source.cluster.socket_dir}", "--username=postgres", "postgres"]
    options = process_options(source.scratch.account)
    subprocess.run(
        [program, "--initialize", "--quiet", "--scale=2", *connection],
        check=True,
        capture_output=True,
        **options,
    )
    running = subprocess.Popen(
        [program, "--client=2", "--time=600", "--no-vacuum", *connection],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        **options,
    )
    try:
        yield
        assert running.poll() is None
    finally:
        running.kill()
        running.wait()
    assert source.execute("SELECT count(*) FROM public.pgbench_history")[0][0] > 0


def assert_sound(proof: Proof, *, busy: set[str]) -> None:
    """Everything passed, but for tables that were written to in the very moment: those are not comparable."""
    assert [check for level in proof.levels for check in level.checks if check.status == "failed"] == []
    assert {table.table for table in proof.not_comparable} <= busy
    outcome = checks_of(proof)
    assert outcome["L3 recovery"] == "passed"
    assert outcome["L4 every table readable"] == "passed"


@pytest.mark.parametrize(
    ("major", "checksums"), [(18, True), (18, False), (15, True), (15, False)], ids=lambda value: str(value)
)
def test_a_busy_server_with_large_segments_is_backed_up_and_proven(
    control_server: Cluster, major: int, checksums: bool
) -> None:
    initdb = [LARGE_SEGMENTS, "--data-checksums" if checksums else NO_CHECKSUMS]
    if major < 18 and not checksums:
        initdb.remove(NO_CHECKSUMS)
    settings = SUMMARISED if major >= 17 else PLAIN
    with server(major, settings, initdb=initdb) as source, estate(source, control_server) as here:
        source.execute("CREATE TABLE public.still AS SELECT g, md5(g::text) FROM generate_series(1, 5000) g")
        with pgbench(source):
            taken = [here.back_up(), here.back_up()]
        assert taken[1].kind == ("incremental" if major >= 17 else "full")
        facts = here.manifest(taken[1].backup_id).server
        assert (facts.wal_segment_bytes, facts.data_checksums) == (64 << 20, checksums)
        proof = here.prove()
        assert_sound(
            proof, busy={f"pgbench_{name}" for name in ("accounts", "branches", "tellers", "history")}
        )
        pages = checks_of(proof)["L4 page checksums"]
        assert pages == ("passed" if checksums else "not_applicable")


@pytest.mark.timeout(900)
def test_five_thousand_small_tables_make_a_chain_that_is_proven(control_server: Cluster) -> None:
    make = """
        DO $$ BEGIN FOR n IN 1..5000 LOOP
          EXECUTE format('CREATE TABLE public.t%s AS SELECT %s AS x', n, n);
          IF n % 500 = 0 THEN COMMIT; END IF;
        END LOOP; END $$"""
    with server(18, SUMMARISED) as source, estate(source, control_server) as here:
        source.execute(make, "CHECKPOINT")
        full = here.back_up()
        source.execute(
            "INSERT INTO public.t7 VALUES (7)", "DROP TABLE public.t8", "CREATE TABLE public.t9000 (x int)"
        )
        child = here.back_up()
        assert (child.kind, child.parent_id) == ("incremental", full.backup_id)
        proof = here.prove(checks=FAST)
        assert proof.problems() == []
        compared = [check for level in proof.levels for check in level.checks if check.name == "fingerprints"]
        assert compared[0].counts["equal"] >= 5000
