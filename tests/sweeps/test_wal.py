"""Whatever step of shipping WAL goes wrong, and however: it is loud, and the next run leaves no hole behind.

How many segments there are in the end depends on how many runs it took, so what is compared is not what there is, but
whether it is whole: from the first segment to the newest without a hole, each as its receipt says, and nothing beside.
"""

from __future__ import annotations

import hashlib
import traceback
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import get_args

import pytest

from strongroom.backup.continuous import SlotWalShipper, WalArchive, WalParts, WalPlan
from strongroom.backup.continuous.segments import start_of
from strongroom.postgres import Cluster, connect, find_binaries, parse_lsn, scratch_cluster
from tests.integration.backup.conftest import server_root
from tests.sweeps.faults import COMMIT, Fault, Faults, Harm, Step
from tests.sweeps.ground import ACTOR, Ground, Lab
from tests.sweeps.sweep import Finding, Scenario, error_of, run_and_die

PLAN = WalPlan("shop", "00" * 32, "sweep")
SEGMENT_BYTES = 1 << 20


@dataclass(frozen=True)
class ShipWal(Scenario):
    """`strongroom wal ship shop`, with one transaction to ship."""

    def run(self, ground: Ground, faults: Faults | None = None) -> None:
        with connect(ground.source, application_name="sweep") as connection:
            connection.execute("INSERT INTO public.note VALUES (1)")
        with ground.services(faults) as services:
            parts = WalParts(
                services.store,
                services.vault,
                services.engine,
                services.sink,
                services.signer,
                services.clock,
            )
            SlotWalShipper(parts).ship(ACTOR, PLAN, ground.source)

    def check(self, ground: Ground) -> None:
        with ground.services() as services:
            archive = WalArchive(services.store, "shop", services.verifier_key)
            (cluster,) = archive.system_ids()
            segments = archive.segments(cluster, 1)
            first = start_of(segments[0].name, SEGMENT_BYTES)
            frontier = archive.frontier(cluster, 1, first, SEGMENT_BYTES)
        assert frontier.gap is None
        assert frontier.position == first + len(segments) * SEGMENT_BYTES
        for item in segments:
            assert hashlib.sha256((ground.bucket / item.key).read_bytes()).hexdigest() == item.sha256
        present = ground.object_keys()
        sealed = {key for key in present if key.startswith("wal/") and key.endswith(".age")}
        assert sealed == {item.key for item in segments}
        with connect(ground.source, application_name="sweep") as connection:
            row = connection.execute("SELECT restart_lsn::text FROM pg_replication_slots").fetchone()
        assert row is not None
        assert parse_lsn(row[0]) == frontier.position


@pytest.fixture(scope="module")
def wal_source() -> Iterator[Cluster]:
    """A server with small segments, and nobody else on it."""
    with server_root() as root, scratch_cluster(root, find_binaries(), "wal") as scratch:
        cluster = scratch.cluster({"fsync": "off", "autovacuum": "off", "shared_buffers": "16MB"})
        cluster.initialise({"wal_keep_size": "100MB"}, wal_segment_megabytes=1)
        cluster.start()
        with connect(cluster.conninfo(), application_name="test") as connection:
            connection.execute("CREATE TABLE public.note (x int)")
        yield cluster


@pytest.mark.parametrize("harm", get_args(Harm))
def test_shipping_wal(keys: Ground, wal_source: Cluster, harm: Harm) -> None:
    ground = replace(keys, source=wal_source.conninfo())
    lab = Lab(ground, ground.directory.with_suffix(".copies"))
    found = [
        Finding(fault, step.name, problem)
        for fault, step in _all_faults(lab, harm)
        if (problem := _try(lab, fault, step))
    ]
    assert not found, "\n\n".join(map(str, found))


def _all_faults(lab: Lab, harm: Harm) -> list[tuple[Fault, Step]]:
    with lab.ground() as ground:
        ShipWal().run(ground)
    with lab.ground() as ground:
        faults = Faults()
        ShipWal().run(ground, faults)
        ShipWal().check(ground)
    steps = list(enumerate(faults.steps, 1))
    assert len(steps) > 20
    return [(Fault(at, moment, harm), step) for at, step in steps for moment in step.moments(harm)]


_NOT_REACHED = "the run never came to this step"


def _try(lab: Lab, fault: Fault, step: Step) -> str | None:
    """What is wrong afterwards. How much log there is depends on what else the server writes: a run that had less of it
    and never came to the step says nothing, and another one is made."""
    for _ in range(3):
        problem = _try_once(lab, fault, step)
        if problem is None or _NOT_REACHED not in problem:
            break
    return problem


def _try_once(lab: Lab, fault: Fault, step: Step) -> str | None:
    with lab.ground() as ground:
        try:
            if fault.harm == "kill":
                run_and_die(ground, ShipWal(), fault)
            else:
                _run_and_fail(ground, fault, step)
            ShipWal().run(ground)
            ground.check()
            ground.check_released()
            ShipWal().check(ground)
        except Exception:
            return traceback.format_exc(limit=-6)
    return None


def _run_and_fail(ground: Ground, fault: Fault, step: Step) -> None:
    faults = Faults(fault)
    error = error_of(lambda: ShipWal().run(ground, faults))
    assert faults.struck, f"{_NOT_REACHED}: {error or 'it succeeded'}"
    if error is not None:
        assert error.retryable, f"{type(error).__name__} is not worth another try: {error}"
    if error is not None and step.name != COMMIT:
        assert ground.unfinished() == [], "the failure was not recorded"
