"""Sealed files as DuckDB's threads read them: all at once, each from its own place, and each gets its own bytes."""

from __future__ import annotations

import io
import random
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from typing import BinaryIO

import pytest

from strongroom.archive.sealedfiles import SealedFiles
from strongroom.vault import ObjectReader, OpenedObject, StoredObject

FILES, SIZE = 6, 50_000
CONTENTS = [random.Random(number).randbytes(SIZE) for number in range(FILES)]


class SlowFile(io.BytesIO):
    """Lets other threads on between going to a place and reading there, as decrypting does."""

    def read(self, size: int | None = -1, /) -> bytes:
        time.sleep(0.0002)
        return super().read(size)


class Reader(ObjectReader):
    """Opens what it was given."""

    def open(self, expect: StoredObject) -> AbstractContextManager[OpenedObject]:
        raise NotImplementedError

    @contextmanager
    def open_anywhere(self, expect: StoredObject) -> Iterator[BinaryIO]:
        with SlowFile(CONTENTS[int(expect.key)]) as file:
            yield file


def reference(number: int) -> StoredObject:
    return StoredObject(str(number), "archive_rows", SIZE, "0" * 64, SIZE, False, None, ())


@pytest.fixture
def files() -> Iterator[SealedFiles]:
    opened = SealedFiles(Reader())
    yield opened
    opened.close()


def test_threads_that_share_files_get_what_they_asked_for(files: SealedFiles) -> None:
    handles = [files.open(files.add(reference(number)), "rb") for number in range(FILES)]

    def read(seed: int) -> bool:
        draw = random.Random(seed)
        number, start, size = draw.randrange(FILES), draw.randrange(SIZE), draw.randrange(1, 2000)
        handles[number].seek(start)
        time.sleep(0.0001)
        same: bool = handles[number].read(size) == CONTENTS[number][start : start + size]
        return same

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(read, range(400)))


def test_a_file_that_was_not_added_is_not_there(files: SealedFiles) -> None:
    with pytest.raises(FileNotFoundError):
        files.open("sealed://0.parquet", "rb")
    with pytest.raises(PermissionError):
        files.open(files.add(reference(0)), "wb")
