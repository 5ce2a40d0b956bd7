"""What every object store promises."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from strongroom.storage import (
    Condition,
    InvalidKeyError,
    ObjectExistsError,
    ObjectNotFoundError,
    ObjectStore,
    PreconditionFailedError,
    StoreError,
    StoreUnavailableError,
)

MIB = 1024 * 1024


class SourceError(Exception):
    """The producer of a stream failed."""


def keys(store: ObjectStore, prefix: str = "") -> list[str]:
    return [info.key for info in store.list(prefix)]


def test_what_was_written_is_read(store: ObjectStore) -> None:
    info = store.put_bytes("a/b", b"content")

    assert store.get_bytes("a/b") == b"content"
    assert info.sha256 == hashlib.sha256(b"content").hexdigest()
    assert store.head("a/b").size_bytes == 7
    assert abs(store.head("a/b").modified_at - datetime.now(UTC)) < timedelta(minutes=1)
    assert store.head("a/b").etag == info.etag


@pytest.mark.parametrize("size", [0, 1, 16 * MIB, 16 * MIB + 1, 40 * MIB + 3])
def test_a_stream_of_any_length_arrives_whole(store: ObjectStore, size: int) -> None:
    content = os.urandom(size)
    pieces = (content[at : at + 5 * MIB] for at in range(0, size, 5 * MIB))

    info = store.put_stream("stream", pieces)

    assert info.size_bytes == size
    assert info.sha256 == hashlib.sha256(content).hexdigest()
    with store.open_range("stream") as reader:
        assert hashlib.sha256(reader.read()).hexdigest() == info.sha256


def test_the_producer_may_use_its_memory_again(store: ObjectStore) -> None:
    buffer = bytearray(3 * MIB)

    def chunks() -> Iterator[memoryview]:
        for number in range(8):
            buffer[:] = bytes([number]) * len(buffer)
            yield memoryview(buffer)

    store.put_stream("reused", chunks())

    with store.open_range("reused") as reader:
        assert all(reader.read(3 * MIB) == bytes([number]) * 3 * MIB for number in range(8))


@pytest.mark.parametrize(
    ("start", "length", "expected"),
    [
        (0, 3, b"012"),
        (4, 2, b"45"),
        (7, None, b"789"),
        (8, 50, b"89"),
        (10, 5, b""),
        (99, None, b""),
        (3, 0, b""),
    ],
)
def test_a_range_gives_what_is_there(
    store: ObjectStore, start: int, length: int | None, expected: bytes
) -> None:
    store.put_bytes("digits", b"0123456789")

    with store.open_range("digits", start, length) as reader:
        assert reader.read() == expected


def test_a_range_across_parts_is_read_exactly(store: ObjectStore) -> None:
    content = os.urandom(20 * MIB)
    store.put_stream("parts", [content])

    target = bytearray(2 * MIB)
    with store.open_range("parts", 15 * MIB, 2 * MIB) as reader:
        view = memoryview(target)
        while view:
            view = view[reader.readinto(view) :]  # type: ignore[attr-defined]
        assert reader.read() == b""

    assert target == content[15 * MIB : 17 * MIB]


def test_an_object_is_created_once(store: ObjectStore) -> None:
    store.put_bytes("once", b"first")

    with pytest.raises(ObjectExistsError, match="once"):
        store.put_bytes("once", b"second")
    with pytest.raises(ObjectExistsError):
        store.put_stream("once", (bytes(9 * MIB) for _ in range(3)))

    assert store.get_bytes("once") == b"first"
    assert store.abort_incomplete_uploads("") == 0


def test_overwriting_is_possible_on_request(store: ObjectStore) -> None:
    store.put_bytes("again", b"first")
    store.put_bytes("again", b"second", condition=Condition.OVERWRITE)

    assert store.get_bytes("again") == b"second"


def test_a_swap_needs_the_object_that_was_read(store: ObjectStore) -> None:
    first = store.put_bytes("lease", b"first")
    second = store.put_bytes("lease", b"second", condition=Condition.if_match(first.etag))

    with pytest.raises(PreconditionFailedError):
        store.put_bytes("lease", b"third", condition=Condition.if_match(first.etag))
    with pytest.raises(PreconditionFailedError):
        store.put_bytes("nothing", b"x", condition=Condition.if_match(second.etag))

    assert store.get_bytes("lease") == b"second"
    assert keys(store) == ["lease"]


def test_of_many_writers_exactly_one_creates(store: ObjectStore) -> None:
    def write(key: str, number: int) -> int:
        try:
            store.put_bytes(key, b"%d" % number)
        except ObjectExistsError:
            return 0
        return 1

    with ThreadPoolExecutor(4) as threads:
        for round_number in range(5):
            key = f"race/{round_number}"
            assert sum(threads.map(write, [key] * 4, range(4))) == 1


def test_of_many_writers_exactly_one_swaps(store: ObjectStore) -> None:
    def swap(etag: str, number: int) -> int:
        try:
            store.put_bytes("cas", b"%d" % number, condition=Condition.if_match(etag))
        except PreconditionFailedError:
            return 0
        return 1

    store.put_bytes("cas", b"start")
    with ThreadPoolExecutor(4) as threads:
        for round_number in range(4):
            etag = store.head("cas").etag
            assert sum(threads.map(swap, [etag] * 4, range(round_number * 4, round_number * 4 + 4))) == 1


def test_of_two_streams_exactly_one_creates_and_the_other_leaves_nothing(store: ObjectStore) -> None:
    def write(number: int) -> int:
        try:
            store.put_stream("stream-race", (bytes([number]) * (6 * MIB) for _ in range(4)))
        except ObjectExistsError:
            return 0
        return 1

    with ThreadPoolExecutor(2) as threads:
        assert sum(threads.map(write, range(2))) == 1

    assert store.abort_incomplete_uploads("") == 0
    assert len(list(store.list_versions("stream-race"))) == 1


@pytest.mark.parametrize("pieces_before", [0, 1, 5])
@pytest.mark.parametrize("fault", [SourceError("broken"), KeyboardInterrupt(), OSError("source disk")])
def test_a_failing_source_leaves_nothing(
    store: ObjectStore, pieces_before: int, fault: BaseException
) -> None:
    def chunks() -> Iterator[bytes]:
        for _ in range(pieces_before):
            yield bytes(7 * MIB)
        raise fault

    with pytest.raises(type(fault)) as raised:
        store.put_stream("broken/one", chunks())

    assert raised.value is fault
    assert keys(store) == []
    assert list(store.list_versions("")) == []
    assert store.abort_incomplete_uploads("") == 0


def test_what_is_not_there_is_named(store: ObjectStore) -> None:
    for call in (store.head, store.get_bytes, store.open_range):
        with pytest.raises(ObjectNotFoundError, match="no/such"):
            call("no/such")


def test_a_version_that_is_not_there_is_named(store: ObjectStore) -> None:
    store.put_bytes("one", b"x")

    with pytest.raises(ObjectNotFoundError):
        store.get_bytes("one", version_id="00000000000000000000000000000000")


def test_too_much_for_memory_is_refused(store: ObjectStore) -> None:
    store.put_bytes("large", bytes(100))

    with pytest.raises(StoreError, match="large"):
        store.get_bytes("large", max_bytes=99)


def test_a_listing_is_sorted_and_below_its_prefix(store: ObjectStore) -> None:
    names = ["a-b", "a.b", "a/0", "a/b", "a/c/d", "b"]
    for name in reversed(names):
        store.put_bytes(name, b"")

    assert keys(store) == names
    assert keys(store, "a/") == ["a/0", "a/b", "a/c/d"]
    assert keys(store, "a/c") == ["a/c/d"]
    assert keys(store, "a") == names[:-1]
    assert keys(store, "c/") == []


def test_a_listing_has_every_page(store: ObjectStore) -> None:
    names = [f"many/{number:05d}" for number in range(1003)]
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda name: store.put_bytes(name, b"x"), names))

    assert keys(store, "many/") == names
    assert len(list(store.list_versions("many/"))) == 1003


def test_deleting_twice_is_deleting_once(store: ObjectStore) -> None:
    version = store.put_bytes("gone/now", b"x").version_id

    store.delete_version("gone/now", version)
    store.delete_version("gone/now", version)
    store.delete_version("never/was", None)

    assert list(store.list_versions("")) == []


def test_deleting_without_a_version_destroys_the_current_one(store: ObjectStore) -> None:
    store.put_bytes("current", b"x")
    store.delete_version("current", None)

    assert list(store.list_versions("")) == []


def test_a_key_that_leaves_the_store_is_refused(store: ObjectStore) -> None:
    for call in (store.head, store.get_bytes, store.open_range, lambda key: store.put_bytes(key, b"x")):
        with pytest.raises(InvalidKeyError):
            call("../outside")


def test_an_unavailable_store_is_worth_another_try() -> None:
    assert StoreUnavailableError("x").retryable
