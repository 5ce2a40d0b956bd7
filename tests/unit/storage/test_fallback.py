"""Several stores read as one: each object comes from the first store that has it sound, and that is told."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from strongroom.errors import IntegrityError
from strongroom.storage import (
    Expected,
    FallbackStore,
    LocalObjectStore,
    NamedStore,
    ObjectNotFoundError,
    StoreUnavailableError,
    UnsupportedError,
)
from tests.sweeps.faults import Fault, Faults, FaultyStore


@pytest.fixture
def first(tmp_path: Path) -> LocalObjectStore:
    return LocalObjectStore(tmp_path / "first")


@pytest.fixture
def second(tmp_path: Path) -> LocalObjectStore:
    return LocalObjectStore(tmp_path / "second")


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def both(first: LocalObjectStore, second: LocalObjectStore, told: list[str]) -> FallbackStore:
    return FallbackStore([NamedStore("store", first), NamedStore("offsite", second)], told.append)


def broken(store: LocalObjectStore, moment: str = "before", position: int = 1) -> FaultyStore:
    return FaultyStore(store, Faults(Fault(position, moment, "error")))  # type: ignore[arg-type]


def read(store: FallbackStore, key: str) -> bytes:
    with store.open_range(key) as stream:
        return stream.read()


def test_what_the_first_store_has_comes_from_there_in_silence(
    first: LocalObjectStore, second: LocalObjectStore, both: FallbackStore, told: list[str]
) -> None:
    for store in (first, second):
        store.put_bytes("a", b"same")
    assert (read(both, "a"), both.get_bytes("a"), both.head("a").size_bytes) == (b"same", b"same", 4)
    assert told == both.uses == []


def test_what_the_first_store_lacks_comes_from_the_next_and_is_told_once(
    second: LocalObjectStore, both: FallbackStore, told: list[str]
) -> None:
    second.put_bytes("a", b"copied")
    assert read(both, "a") == both.get_bytes("a") == b"copied"
    assert [(use.key, use.store) for use in both.uses] == [("a", "offsite")]
    assert len(told) == 1
    assert "offsite" in told[0]


def test_a_store_that_may_answer_later_is_not_taken_for_one_without_the_object(
    first: LocalObjectStore, second: LocalObjectStore, told: list[str]
) -> None:
    store = FallbackStore([NamedStore("store", broken(first)), NamedStore("offsite", second)], told.append)
    with pytest.raises(StoreUnavailableError):
        store.get_bytes("a")


def test_what_no_store_has_is_not_found(both: FallbackStore) -> None:
    with pytest.raises(ObjectNotFoundError):
        both.head("a")


def test_an_expected_object_is_checked_before_any_of_it_is_handed_out(
    first: LocalObjectStore, second: LocalObjectStore, both: FallbackStore
) -> None:
    first.put_bytes("a", b"replaced")
    second.put_bytes("a", b"recorded")
    both.expect([Expected("a", 8, hashlib.sha256(b"recorded").hexdigest())])
    assert read(both, "a") == b"recorded"
    assert both.uses[0].store == "offsite"


def test_a_document_that_is_not_accepted_comes_from_the_next_store(
    first: LocalObjectStore, second: LocalObjectStore, told: list[str]
) -> None:
    def accept(_key: str, data: bytes) -> None:
        if data != b"signed":
            raise IntegrityError("not signed")

    first.put_bytes("a.json", b"forged")
    second.put_bytes("a.json", b"signed")
    stores = [NamedStore("store", first), NamedStore("offsite", second)]
    assert FallbackStore(stores, told.append, accept=accept).get_bytes("a.json") == b"signed"
    assert told == ["a.json comes from offsite: not signed"]


def test_what_turned_out_damaged_is_not_taken_from_there_again(
    first: LocalObjectStore, second: LocalObjectStore, both: FallbackStore
) -> None:
    first.put_bytes("a", b"damaged")
    second.put_bytes("a", b"sound")
    assert read(both, "a") == b"damaged"
    assert both.distrust("a", "it does not open")
    assert read(both, "a") == b"sound"
    assert not both.distrust("a", "neither does this")
    with pytest.raises(ObjectNotFoundError, match="in every store"):
        read(both, "a")


def test_a_listing_is_what_any_store_holds(
    first: LocalObjectStore, second: LocalObjectStore, both: FallbackStore
) -> None:
    for key in ("a/1", "a/3", "b"):
        first.put_bytes(key, b"first")
    for key in ("a/2", "a/3", "a/4"):
        second.put_bytes(key, b"second!")
    found = {info.key: info.size_bytes for info in both.list("a/")}
    assert list(found) == ["a/1", "a/2", "a/3", "a/4"]
    assert found["a/3"] == len(b"first")


def test_a_listing_goes_on_without_a_store_that_fails_and_says_so(
    first: LocalObjectStore, second: LocalObjectStore, told: list[str]
) -> None:
    for key in ("a", "b"):
        first.put_bytes(key, b"")
        second.put_bytes(key, b"")
    stores = [NamedStore("store", broken(first)), NamedStore("offsite", second)]
    assert [info.key for info in FallbackStore(stores, told.append).list("")] == ["a", "b"]
    assert "store could not be listed" in told[0]


def test_a_listing_that_breaks_off_is_not_taken_for_a_whole_one(
    first: LocalObjectStore, second: LocalObjectStore, told: list[str]
) -> None:
    first.put_bytes("a", b"")
    first.put_bytes("b", b"")
    second.put_bytes("a", b"")
    stores = [NamedStore("store", broken(first, "middle")), NamedStore("offsite", second)]
    with pytest.raises(StoreUnavailableError):
        list(FallbackStore(stores, told.append).list(""))


def test_an_empty_listing_never_stands_for_a_store_that_failed(
    first: LocalObjectStore, second: LocalObjectStore, told: list[str]
) -> None:
    first.put_bytes("a", b"")
    stores = [NamedStore("store", broken(first)), NamedStore("offsite", second)]
    with pytest.raises(StoreUnavailableError):
        list(FallbackStore(stores, told.append).list(""))


def test_a_listing_fails_where_every_store_does(
    first: LocalObjectStore, second: LocalObjectStore, told: list[str]
) -> None:
    stores = [NamedStore("store", broken(first)), NamedStore("offsite", broken(second))]
    with pytest.raises(StoreUnavailableError):
        list(FallbackStore(stores, told.append).list(""))


def test_several_stores_at_once_are_not_written_to(both: FallbackStore) -> None:
    for write in (
        lambda: both.put_bytes("a", b""),
        lambda: both.put_stream("a", [b""]),
        lambda: both.delete_version("a", None),
    ):
        with pytest.raises(UnsupportedError):
            write()
