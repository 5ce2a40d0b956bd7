"""After each shipment a copy is brought up to the log: cheaply, locked, and never claiming more than it holds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from strongroom.access import Actor, ActorKind, Role
from strongroom.backup.continuous import ArchivedSegment, Covered, SegmentsReceipt
from strongroom.backup.continuous.layout import coverage_key, segment_key
from strongroom.backup.continuous.receipts import Coverage
from strongroom.backup.copying import (
    CopyIncompleteError,
    CopyInProgressError,
    CopyPlan,
    FollowReport,
    ShippedLog,
)
from strongroom.backup.copying.locks import exclusive
from strongroom.errors import AccessDeniedError
from strongroom.postgres import format_lsn, segment_name
from strongroom.storage import Condition, ObjectInfo, ObjectLockedError, ObjectStore, Retention, S3ObjectStore
from tests.sweeps.ground import ACTOR, Ground

PLAN = CopyPlan("shop", "00" * 32)
LOCKED = CopyPlan("shop", "00" * 32, "governance", 3)
SEGMENT = 1 << 20
LOG = ShippedLog("7000000000000000001", 1)
COVERAGE = coverage_key("shop", LOG.system_identifier, LOG.timeline)


@dataclass
class Shipments:
    """Ships made-up segments into the store, and copies them on."""

    ground: Ground
    end: int = SEGMENT
    copies: dict[str, ObjectStore] = field(default_factory=dict)

    def ship(self, segments: int = 1, *, skip: int = 0) -> list[str]:
        """Archive the next segments; gives their keys."""
        with self.ground.services() as services:
            made = []
            self.end += skip
            for _ in range(segments):
                name = segment_name(LOG.timeline, self.end, SEGMENT)
                stored = services.vault.store(
                    ACTOR, segment_key("shop", LOG.system_identifier, name), [bytes(SEGMENT)], kind="wal",
                    database="shop",
                )  # fmt: skip
                made.append(
                    ArchivedSegment(
                        name,
                        stored.key,
                        stored.size_bytes,
                        stored.sha256,
                        stored.plaintext_bytes,
                        stored.epoch_ids,
                    )
                )
                self.end += SEGMENT
            covered = Covered(datetime.now(UTC), format_lsn(self.end))
            receipt = SegmentsReceipt(
                "shop", LOG.system_identifier, 1, SEGMENT, "18.0", tuple(made), covered, 1, "00" * 32, {}
            )
            services.store.put_bytes(receipt.key, receipt.sign(services.signer))
            self.cover(services)
        return [item.key for item in made]

    def cover(self, services: Any) -> None:
        covered = Covered(datetime.now(UTC), format_lsn(self.end))
        coverage = Coverage("shop", LOG.system_identifier, 1, covered, "00" * 32, 1)
        services.store.put_bytes(coverage.key, coverage.sign(services.signer), condition=Condition.OVERWRITE)

    def follow(
        self,
        plan: CopyPlan = PLAN,
        *,
        watch: Callable[[Any], None] = lambda services: None,
        actor: Actor = ACTOR,
    ) -> FollowReport:
        """What the worker does after a shipment, without a private key."""
        with self.ground.services() as services:
            services.provider = None  # type: ignore[misc]
            services.stores._copies.update(self.copies)
            watch(services)
            return services.replicator.follow(actor, plan, "offsite", LOG)

    def held(self) -> set[str]:
        return {key for key in self.ground.object_keys(self.ground.offsite) if key.startswith("wal/")}

    def archived(self) -> set[str]:
        return {key for key in self.ground.object_keys() if key.startswith("wal/")}


@pytest.fixture
def shipments(keys: Ground) -> Shipments:
    return Shipments(keys)


def test_each_shipment_is_copied_with_its_keys_and_only_what_is_new_is_looked_at(
    shipments: Shipments,
) -> None:
    for _ in range(3):
        shipments.ship(2)
    assert shipments.follow().compared == "all"
    assert shipments.held() == shipments.archived()
    assert [key for key in shipments.ground.object_keys(shipments.ground.offsite) if key.startswith("keys/")]

    shipments.ship(2)
    listed: list[str] = []

    def watch(services: Any) -> None:
        for store in (services.stores.main, services.stores.copy("offsite")):
            known = store.list

            def listing(prefix: str, known: Any = known) -> Iterator[ObjectInfo]:
                listed.append(prefix)
                return known(prefix)  # type: ignore[no-any-return]

            store.list = listing

    report = shipments.follow(watch=watch)
    assert (report.compared, report.copied_objects) == ("new", 4)  # two segments, their receipt, the coverage
    assert shipments.held() == shipments.archived()
    assert all(prefix == "keys/" or "/receipts/00000001" in prefix for prefix in listed), listed
    assert shipments.follow().copied_objects == 0


def test_a_shipment_beyond_four_gibibytes_is_found_too(shipments: Shipments) -> None:
    shipments.ship()
    shipments.follow()
    shipments.ship(skip=5 << 32)
    assert shipments.follow().compared == "new"
    assert shipments.held() == shipments.archived()
    shipments.ship(skip=64 << 32)
    assert shipments.follow().compared == "all"
    assert shipments.held() == shipments.archived()


def test_a_copy_with_a_hole_does_not_say_that_it_covers_it(shipments: Shipments) -> None:
    shipments.ship()
    shipments.follow()
    before = (shipments.ground.offsite / COVERAGE).read_bytes()
    (key,) = shipments.ship()
    path = shipments.ground.bucket / key
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(CopyIncompleteError, match="not the object that its signed document names"):
        shipments.follow()
    assert (shipments.ground.offsite / COVERAGE).read_bytes() == before
    assert key not in shipments.held()
    path.write_bytes(whole)
    assert shipments.follow().copied_objects == 3
    assert (shipments.ground.offsite / COVERAGE).read_bytes() != before


def test_a_shipment_during_the_nightly_run_is_not_passed_over_by_the_next_one(shipments: Shipments) -> None:
    """What the copy says it covers was read before the archive was listed."""
    shipments.ship()

    def ship_meanwhile(services: Any) -> None:
        known, done = services.stores.copy("offsite").list, []

        def listing(prefix: str) -> Iterator[ObjectInfo]:
            if prefix.startswith("wal/") and not done:
                done.append(shipments.ship())
            return known(prefix)  # type: ignore[no-any-return]

        services.stores.copy("offsite").list = listing

    with shipments.ground.services() as services:
        ship_meanwhile(services)
        services.replicator.run(ACTOR, PLAN, "offsite")
    assert shipments.held() < shipments.archived()
    assert shipments.follow().compared == "new"
    assert shipments.held() == shipments.archived()


def test_copied_log_is_locked_by_the_policy_and_key_records_as_in_the_store(
    shipments: Shipments, s3_store: S3ObjectStore
) -> None:
    shipments.copies["offsite"] = s3_store
    shipments.ship(2)
    shipments.follow(LOCKED)
    for info in s3_store.list("wal/"):
        found = s3_store.head(info.key)
        if info.key == COVERAGE:
            assert found.retention is None
            continue
        assert found.retention is not None, info.key
        assert found.retention.mode == "governance"
        assert timedelta(days=2) < found.retention.until - datetime.now(UTC) <= timedelta(days=3)
        with pytest.raises(ObjectLockedError):
            s3_store.delete_version(info.key, found.version_id)
    records = [s3_store.head(info.key) for info in s3_store.list("keys/")]
    assert records
    assert all(record.retention is None for record in records)


def test_a_key_record_that_the_store_locks_is_locked_in_the_copy(
    shipments: Shipments, s3_store: S3ObjectStore
) -> None:
    shipments.copies["offsite"] = s3_store
    until = (datetime.now(UTC) + timedelta(days=9)).replace(microsecond=0)

    def lock_keys(services: Any) -> None:
        from dataclasses import replace

        known = services.stores.main.head

        def head(key: str, **options: Any) -> ObjectInfo:
            found = known(key, **options)
            return (
                replace(found, retention=Retention("governance", until)) if key.startswith("keys/") else found
            )

        services.stores.main.head = head

    shipments.ship()
    shipments.follow(watch=lock_keys)
    for info in s3_store.list("keys/"):
        assert s3_store.head(info.key).retention == Retention("governance", until)


def test_two_runs_at_once_are_kept_apart_and_a_backups_copy_does_not_hold_the_log_up(
    shipments: Shipments,
) -> None:
    shipments.ship()
    with shipments.ground.engine() as engine:
        with exclusive(engine, "offsite/shop"):
            assert shipments.follow().copied_objects > 0
        with exclusive(engine, "offsite/shop/wal"), pytest.raises(CopyInProgressError):
            shipments.follow()


def test_who_may_not_copy_is_refused_and_how_the_nightly_run_ended_stays(shipments: Shipments) -> None:
    shipments.ship()
    auditor = Actor("reader", ActorKind.TASK, frozenset({Role.AUDITOR}))
    with pytest.raises(AccessDeniedError):
        shipments.follow(actor=auditor)
    shipments.follow()
    with shipments.ground.services() as services:
        assert services.replicator.status("shop", "offsite").last_run is None
    (scope,) = shipments.ground.rows(
        "SELECT convert_from(entry, 'UTF8')::jsonb -> 'data' -> 'details' ->> 'scope' FROM public.audit_queue"
        " WHERE convert_from(entry, 'UTF8') LIKE '%copy:run:execute%' ORDER BY id DESC LIMIT 1"
    )
    assert scope == ("wal",)
