"""Whatever step goes wrong, and however: it fails loudly, and the next run makes everything as it should be."""

from __future__ import annotations

from contextlib import suppress
from typing import get_args

import pytest

from strongroom.storage import Condition, StoreError
from tests.sweeps.faults import Faults, Harm, Moment, Step
from tests.sweeps.ground import Ground, Lab
from tests.sweeps.scenarios import (
    Copy,
    ExtendChain,
    MakeKeys,
    SealLog,
    TakeBackup,
    TakeLogicalBackup,
    Verify,
)
from tests.sweeps.sweep import Reference, Scenario, clean_runs, hold, sweep

HARMS = pytest.mark.parametrize("harm", get_args(Harm))


@HARMS
def test_making_keys(bare: Lab, escrow: str, harm: Harm) -> None:
    hold(bare, MakeKeys(escrow), harm)


@HARMS
def test_taking_a_backup(with_keys: Lab, harm: Harm) -> None:
    hold(with_keys, TakeBackup(), harm)


@HARMS
def test_verifying_a_backup(with_backup: Lab, harm: Harm) -> None:
    hold(with_backup, Verify(), harm)


@HARMS
def test_copying(with_log: Lab, harm: Harm) -> None:
    hold(with_log, Copy(), harm)


@HARMS
def test_sealing_the_audit_log(with_backup: Lab, harm: Harm) -> None:
    hold(with_backup, SealLog(), harm)


@HARMS
def test_taking_a_backup_where_others_died(with_debris: Lab, harm: Harm) -> None:
    hold(with_debris, TakeBackup(), harm)


def test_a_stream_of_a_whole_cluster_that_breaks_off(with_keys: Lab) -> None:
    def within_a_stream(step: Step, moment: Moment) -> bool:
        return step.name.startswith("put_stream backups/") and moment == "middle"

    hold(with_keys, TakeBackup(whole_cluster=True), "error", only=within_a_stream)


def test_each_stream_of_a_logical_backup_that_breaks_off(with_keys: Lab) -> None:
    def within_a_stream(step: Step, moment: Moment) -> bool:
        return step.name.startswith("put_stream backups/") and moment == "middle"

    hold(with_keys, TakeLogicalBackup(), "error", only=within_a_stream)


@HARMS
def test_extending_a_chain(keys: Ground, harm: Harm) -> None:
    """Only what a full backup does not do as well: what it builds on, and each of its streams."""

    def own(step: Step, moment: Moment) -> bool:
        reads = step.name.startswith(("get_bytes backups/", "head backups/"))
        return reads or (step.name.startswith("put_stream backups/") and moment == "middle")

    ExtendChain().run(keys)
    found = sweep(Lab(keys, keys.directory.with_suffix(".copies")), ExtendChain(), harm, only=own)
    assert not found, "\n\n".join(map(str, found))


class HidesFailures(Scenario):
    """A command as none may be: it writes two objects, and says nothing when that fails."""

    def run(self, ground: Ground, faults: Faults | None = None) -> None:
        with ground.services(faults) as services, suppress(StoreError):
            for name in ("first", "second"):
                services.store.put_bytes(f"notes/{name}", b"", condition=Condition.OVERWRITE)

    def check(self, ground: Ground) -> None:
        assert "backups/" not in ground.object_keys()


def test_a_sweep_finds_a_command_that_hides_its_failure(with_keys: Lab) -> None:
    found = sweep(with_keys, HidesFailures(), "error")
    assert {(one.fault.position, one.fault.moment) for one in found} >= {(1, "before"), (2, "before")}
    assert all("neither failed nor succeeded" in one.problem for one in found)


def test_every_command_run_twice(with_backup: Lab, escrow: str) -> None:
    keys = clean_runs(with_backup, MakeKeys(escrow))
    assert keys.once == keys.twice == with_backup.original.state()
    log = clean_runs(with_backup, SealLog())
    assert log.once == log.twice
    proofs = clean_runs(with_backup, Verify())
    assert added(proofs) == {"proofs/shop/*/*.json": 1, "table proof": 1}
    backups = clean_runs(with_backup, TakeBackup())
    assert added(backups) == {
        "backups/shop/*/base.tar.zst.age": 1,
        "backups/shop/*/wal.tar.zst.age": 1,
        "backups/shop/*/manifest.json": 1,
        "table vault_object": 2,
        "table backup": 1,
    }


def test_copying_twice(with_log: Lab) -> None:
    copies = clean_runs(with_log, Copy())
    assert copies.once == copies.twice


def added(reference: Reference) -> dict[str, int]:
    """What the second run added to what the first one left."""
    return {
        name: count - reference.once.get(name, 0)
        for name, count in reference.twice.items()
        if count != reference.once.get(name, 0)
    }
