"""Shipped WAL is copied receipt by receipt: segments first, and nothing that no receipt names."""

from __future__ import annotations

from pathlib import Path

import pytest

from strongroom.backup.continuous import WalArchive
from strongroom.backup.continuous.layout import segment_key
from strongroom.backup.copying.areas import WalArea
from strongroom.backup.copying.filling import AreaFiller, Filled
from strongroom.postgres import segment_name
from strongroom.signing import SignerKey
from strongroom.storage import LocalObjectStore
from tests.unit.continuous.support import CLUSTER, SIZE, Shelf, at


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(LocalObjectStore(tmp_path / "bucket"), SignerKey.generate("strongroom.test"))


@pytest.fixture
def offsite(tmp_path: Path) -> LocalObjectStore:
    return LocalObjectStore(tmp_path / "offsite")


def fill(shelf: Shelf, offsite: LocalObjectStore) -> Filled:
    filler = AreaFiller(shelf.store, offsite, shelf.signer.verifier, lambda key, size: None)
    return filler.fill(WalArea("shop"))


def test_the_copy_has_the_same_archive(shelf: Shelf, offsite: LocalObjectStore) -> None:
    shelf.ship(1, 2, 4)
    shelf.cover(1, 5, at(5))
    fill(shelf, offsite)
    shelf.ship(1, 5, 6)
    shelf.cover(1, 10, at(7))
    filled = fill(shelf, offsite)

    copied = WalArchive(offsite, "shop", shelf.signer.verifier)
    assert copied.segments(CLUSTER, 1) == shelf.archive.segments(CLUSTER, 1)
    assert copied.coverage(CLUSTER, 1) == shelf.archive.coverage(CLUSTER, 1)
    assert (filled.copied_objects, filled.problems) == (4, [])


def test_a_segment_that_no_receipt_names_stays_behind(shelf: Shelf, offsite: LocalObjectStore) -> None:
    shelf.ship(1, 2, 3)
    stray = segment_key("shop", CLUSTER, segment_name(1, at(4), SIZE))
    shelf.store.put_bytes(stray, b"from a run that was killed")
    fill(shelf, offsite)
    assert stray not in [info.key for info in offsite.list("")]


def test_a_receipt_stays_behind_while_one_of_its_segments_is_damaged(
    shelf: Shelf, offsite: LocalObjectStore, tmp_path: Path
) -> None:
    shelf.ship(1, 2, 3)
    second = shelf.ship(1, 4, 5)
    (tmp_path / "bucket" / second.segments[1].key).write_bytes(b"x" * second.segments[1].size_bytes)
    filled = fill(shelf, offsite)
    assert [problem.key for problem in filled.problems] == [second.segments[1].key]
    assert second.key not in [info.key for info in offsite.list("")]
    assert len(WalArchive(offsite, "shop", shelf.signer.verifier).segments(CLUSTER, 1)) == 2


def test_a_receipt_that_another_key_signed_is_not_copied(shelf: Shelf, offsite: LocalObjectStore) -> None:
    receipt = shelf.ship(1, 2, 3, signer=SignerKey.generate("somebody.else"))
    assert [problem.key for problem in fill(shelf, offsite).problems] == [receipt.key]
    assert list(offsite.list("")) == []
