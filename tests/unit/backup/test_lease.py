"""The lease: one holder at a time, each with a higher number, and who lost it stops."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from strongroom.backup import BackupInProgressError, LeaseLostError
from strongroom.backup.lease import Lease, lease_key
from strongroom.clock import FixedClock
from strongroom.errors import IntegrityError
from strongroom.storage import Condition, LocalObjectStore

HERE, ELSEWHERE = "7541/shop", "9999/shop"


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock(datetime(2026, 8, 24, 2, tzinfo=UTC))


def lease(store: LocalObjectStore, clock: FixedClock, source: str = HERE) -> Lease:
    return Lease(store, clock, "shop", source, lifetime=timedelta(minutes=5))


def test_each_holder_has_a_higher_number_than_the_last(
    local_store: LocalObjectStore, clock: FixedClock
) -> None:
    numbers = []
    for _ in range(3):
        with lease(local_store, clock) as held:
            numbers.append(held.fencing_number)
    assert numbers == [1, 2, 3]


def test_a_held_lease_is_refused_to_another_source(local_store: LocalObjectStore, clock: FixedClock) -> None:
    with (
        lease(local_store, clock),
        pytest.raises(BackupInProgressError),
        lease(local_store, clock, ELSEWHERE),
    ):
        pass


def test_a_lease_that_ran_out_can_be_taken(local_store: LocalObjectStore, clock: FixedClock) -> None:
    first = lease(local_store, clock).__enter__()
    clock.moment += timedelta(minutes=6)
    with lease(local_store, clock, ELSEWHERE) as second:
        assert second.fencing_number == 2
        with pytest.raises(LeaseLostError):
            first.alive()
        with pytest.raises(LeaseLostError):
            first.confirm()
    first.__exit__(None, None, None)


def test_who_holds_the_sources_lock_takes_over_and_the_old_holder_stops(
    local_store: LocalObjectStore, clock: FixedClock
) -> None:
    with lease(local_store, clock) as killed:
        with lease(local_store, clock) as next_run:
            next_run.confirm()
            with pytest.raises(LeaseLostError, match="taken"):
                killed.confirm()
            with pytest.raises(LeaseLostError):
                killed.alive()
        assert killed.fencing_number < next_run.fencing_number


def test_an_unreadable_lease_is_not_overwritten(local_store: LocalObjectStore, clock: FixedClock) -> None:
    local_store.put_bytes(lease_key("shop"), b"{}", condition=Condition.IF_ABSENT)
    with pytest.raises(IntegrityError, match="not readable"), lease(local_store, clock):
        pass
