"""The archive's frontier: what a restore may count on, and the first segment that it may not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from strongroom.backup.continuous import (
    Covered,
    HistoryMissingError,
    ReceiptError,
    TimelineHistory,
    TimelineSwitch,
)
from strongroom.backup.continuous.layout import receipt_key, segment_key
from strongroom.postgres import format_lsn, segment_name
from strongroom.signing import SignatureError, SignerKey
from strongroom.storage import LocalObjectStore, ObjectInfo, StoreUnavailableError
from tests.unit.continuous.support import CLUSTER, SIZE, Shelf, at, noon


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    (tmp_path / "bucket").mkdir()
    return Shelf(LocalObjectStore(tmp_path / "bucket"), SignerKey.generate("strongroom.test"))


def name(timeline: int, number: int) -> str:
    return segment_name(timeline, at(number), SIZE)


def test_an_unbroken_run_reaches_to_its_last_segment(shelf: Shelf) -> None:
    shelf.ship(1, 3, 5)
    shelf.ship(1, 6, 6, covered=Covered(noon(5), format_lsn(at(6) + 100)))
    found = shelf.archive.frontier(CLUSTER, 1, at(4) + 40, SIZE)
    assert (found.position, found.last_segment, found.gap) == (at(7), name(1, 6), None)
    assert found.covered_until == noon(5)
    assert found.lsn == "0/7000000"


def test_a_hole_is_named_and_nothing_beyond_it_counts(shelf: Shelf) -> None:
    shelf.ship(1, 3, 4, covered=Covered(noon(1), format_lsn(at(4) + 8)))
    shelf.ship(1, 6, 7, covered=Covered(noon(9), format_lsn(at(7) + 8)))
    found = shelf.archive.frontier(CLUSTER, 1, format_lsn(at(3)), SIZE)
    assert (found.position, found.last_segment, found.gap) == (at(5), name(1, 4), name(1, 5))
    assert found.covered_until == noon(1)
    after = shelf.archive.frontier(CLUSTER, 1, at(6), SIZE)
    assert (after.position, after.gap, after.covered_until) == (at(8), None, noon(9))


def test_a_segment_that_was_deleted_from_the_bucket_is_a_hole(shelf: Shelf) -> None:
    shelf.ship(1, 3, 5)
    shelf.store.delete_version(segment_key("shop", CLUSTER, name(1, 4)), None)
    assert [item.name for item in shelf.archive.segments(CLUSTER, 1)] == [name(1, 3), name(1, 5)]
    assert shelf.archive.frontier(CLUSTER, 1, at(3), SIZE).gap == name(1, 4)


def test_the_last_segment_deleted_is_a_hole_too_because_a_receipt_names_it(shelf: Shelf) -> None:
    shelf.ship(1, 3, 5)
    shelf.store.delete_version(segment_key("shop", CLUSTER, name(1, 5)), None)
    assert shelf.archive.frontier(CLUSTER, 1, at(3), SIZE).gap == name(1, 5)


def test_an_object_that_no_receipt_names_counts_for_nothing(shelf: Shelf) -> None:
    shelf.ship(1, 3, 3)
    shelf.store.put_bytes(segment_key("shop", CLUSTER, name(1, 4)), b"somebody's")
    found = shelf.archive.frontier(CLUSTER, 1, at(3), SIZE)
    assert (found.position, found.gap) == (at(4), None)


def test_a_receipt_signed_by_somebody_else_is_refused(shelf: Shelf) -> None:
    shelf.ship(1, 3, 3)
    shelf.ship(1, 4, 4, signer=SignerKey.generate("strongroom.test"))
    with pytest.raises(SignatureError):
        shelf.archive.segments(CLUSTER, 1)


def test_a_receipt_under_another_name_is_refused(shelf: Shelf) -> None:
    receipt = shelf.ship(1, 3, 3)
    shelf.store.put_bytes(receipt_key("shop", CLUSTER, name(1, 4), name(1, 4)), receipt.sign(shelf.signer))
    with pytest.raises(ReceiptError, match="belongs under"):
        shelf.archive.segments(CLUSTER, 1)


def test_a_receipt_for_another_segment_size_is_refused(shelf: Shelf) -> None:
    shelf.ship(1, 3, 3)
    with pytest.raises(ReceiptError, match="were expected"):
        shelf.archive.frontier(CLUSTER, 1, at(3), 4 * SIZE)


def test_of_two_receipts_for_one_segment_the_later_holder_of_the_lease_counts(shelf: Shelf) -> None:
    shelf.ship(1, 3, 4, fencing_number=8)
    shelf.ship(1, 3, 3, fencing_number=7)
    first, second = shelf.archive.segments(CLUSTER, 1)
    assert (first.name, second.name) == (name(1, 3), name(1, 4))


class _Interrupted(LocalObjectStore):
    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        for number, item in enumerate(super().list(prefix)):
            if number == 2:
                raise StoreUnavailableError("The store does not answer.")
            yield item


def test_a_listing_that_fails_half_way_is_an_error_and_no_shorter_archive(
    shelf: Shelf, tmp_path: Path
) -> None:
    shelf.ship(1, 3, 9)
    broken = Shelf(_Interrupted(tmp_path / "bucket"), shelf.signer)
    for ask in (
        lambda: broken.archive.frontier(CLUSTER, 1, at(3), SIZE),
        broken.archive.system_ids,
        lambda: broken.archive.timelines(CLUSTER),
    ):
        with pytest.raises(StoreUnavailableError):
            ask()


SECOND = TimelineHistory(2, (TimelineSwitch(1, at(5) + 1000),))


def test_the_frontier_follows_a_timeline_switch(shelf: Shelf) -> None:
    shelf.ship(1, 3, 6, covered=Covered(noon(1), format_lsn(at(6) + 8)))
    shelf.ship(2, 5, 8, covered=Covered(noon(4), format_lsn(at(8) + 8)))
    shelf.ship_history(SECOND)
    found = shelf.archive.frontier(CLUSTER, 2, at(3), SIZE)
    assert (found.position, found.last_segment, found.covered_until) == (at(9), name(2, 8), noon(4))
    old = shelf.archive.frontier(CLUSTER, 1, at(3), SIZE)
    assert (old.position, old.last_segment, old.covered_until) == (at(7), name(1, 6), noon(1))


def test_what_the_old_primary_wrote_after_the_switch_covers_nothing_on_the_new_timeline(shelf: Shelf) -> None:
    shelf.ship(1, 3, 6, covered=Covered(noon(9), format_lsn(at(6) + 8)))
    shelf.ship(2, 5, 6, covered=Covered(noon(4), format_lsn(at(6) + 8)))
    shelf.ship_history(SECOND)
    assert shelf.archive.frontier(CLUSTER, 2, at(3), SIZE).covered_until == noon(4)


def test_a_hole_at_the_switch_is_named_on_the_timeline_that_owns_it(shelf: Shelf) -> None:
    shelf.ship(1, 3, 4)
    shelf.ship(2, 6, 6)
    shelf.ship_history(SECOND)
    assert shelf.archive.frontier(CLUSTER, 2, at(3), SIZE).gap == name(2, 5)
    shelf.ship(2, 5, 5)
    assert shelf.archive.frontier(CLUSTER, 2, at(3), SIZE).position == at(7)
    shelf.store.delete_version(segment_key("shop", CLUSTER, name(1, 4)), None)
    assert shelf.archive.frontier(CLUSTER, 2, at(3), SIZE).gap == name(1, 4)


def test_without_its_history_a_timeline_has_no_frontier(shelf: Shelf) -> None:
    shelf.ship(2, 5, 6)
    with pytest.raises(HistoryMissingError):
        shelf.archive.frontier(CLUSTER, 2, at(5), SIZE)


def test_a_quiet_source_is_covered_without_new_segments(shelf: Shelf) -> None:
    shelf.ship(1, 3, 3, covered=Covered(noon(1), format_lsn(at(3) + 8)))
    shelf.cover(1, 45, at(3) + 8)
    assert shelf.archive.frontier(CLUSTER, 1, at(3), SIZE).covered_until == noon(45)


def test_an_empty_archive_reaches_nowhere(shelf: Shelf) -> None:
    found = shelf.archive.frontier(CLUSTER, 1, at(3) + 40, SIZE)
    assert (found.position, found.last_segment, found.covered_until, found.gap) == (
        at(3) + 40,
        None,
        None,
        None,
    )
    assert shelf.archive.system_ids() == []
    assert shelf.archive.timelines(CLUSTER) == []


def test_clusters_and_timelines_are_listed(shelf: Shelf) -> None:
    shelf.ship(1, 3, 3)
    shelf.ship(0x1F, 4, 4)
    assert shelf.archive.system_ids() == [CLUSTER]
    assert shelf.archive.timelines(CLUSTER) == [1, 0x1F]
