"""Cutting a stream into parts, and trying again."""

from __future__ import annotations

import hashlib
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strongroom.storage import ChecksumMismatchError, RetryPolicy, StoreError, StoreUnavailableError
from strongroom.storage import s3_parts as parts
from strongroom.storage.retrying import resend, retry
from strongroom.storage.s3_parts import MAX_PARTS, FilePart, PartCutter, parallel_parts, part_bytes

GIB = 1024**3


def test_the_largest_object_fits_into_the_parts_that_s3_allows() -> None:
    assert sum(part_bytes(number) for number in range(1, MAX_PARTS + 1)) >= 5 * 1024 * GIB
    assert all(5 * parts.MIB <= part_bytes(number) <= 5 * GIB for number in range(1, MAX_PARTS + 1))
    with pytest.raises(StoreError, match="longer"):
        part_bytes(MAX_PARTS + 1)


def test_the_parts_on_their_way_never_need_more_than_their_memory() -> None:
    for number in (1, 2_000, 2_001, 6_000):
        assert (parallel_parts(number) + 1) * part_bytes(number) <= 128 * parts.MIB


@settings(max_examples=50, deadline=None)
@given(st.lists(st.binary(max_size=70), max_size=20))
def test_the_parts_together_are_the_stream(chunks: list[bytes]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parts, "_SCHEDULE", ((2, 16), (4, 32), (MAX_PARTS, 48)))
        patch.setattr(parts, "_MEMORY_PART_BYTES", 32)
        cutter = PartCutter(chunks)
        bodies = []
        for part in cutter:
            body = part.body()
            bodies.append(bytes(body.read() if isinstance(part, FilePart) else body))
            cutter.give_back(part)

    whole = b"".join(chunks)
    assert b"".join(bodies) == whole
    assert all(
        len(body) == size for body, size in zip(bodies[:-1], [16, 16, 32, 32] + [48] * 50, strict=False)
    )
    assert cutter.size_bytes == len(whole)
    assert cutter.sha256 == hashlib.sha256(whole).hexdigest()


def test_a_part_on_disk_can_be_sent_twice() -> None:
    part = FilePart(1, 100)
    content = os.urandom(100)
    part.take(memoryview(content))

    assert part.body().read() == part.body().read() == content
    part.close()


def test_a_call_is_tried_again_until_it_succeeds() -> None:
    faults = [StoreUnavailableError("1"), StoreUnavailableError("2")]

    def call() -> str:
        if faults:
            raise faults.pop()
        return "done"

    assert retry(RetryPolicy(5.0, 0.001, 0.001), call) == "done"


def test_trying_again_ends_with_the_window() -> None:
    tries = []

    def call() -> None:
        tries.append(1)
        raise StoreUnavailableError("always")

    with pytest.raises(StoreUnavailableError, match="always"):
        retry(RetryPolicy(0.05, 0.01, 0.01), call)
    assert len(tries) > 2


def test_what_arrives_damaged_every_time_is_an_error() -> None:
    tries = []

    def call() -> None:
        tries.append(1)
        raise ChecksumMismatchError("damaged")

    with pytest.raises(ChecksumMismatchError):
        resend(call)
    assert len(tries) == 3
