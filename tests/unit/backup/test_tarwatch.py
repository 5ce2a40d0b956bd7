"""The watch reads a backup's facts from its tar stream, however the stream is cut into buffers."""

from __future__ import annotations

import io
import json
import struct
import tarfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strongroom.backup import IncompleteStreamError
from strongroom.backup.tarwatch import StreamFacts, TarWatch

LABEL = b"START WAL LOCATION: 0/2000028 (file 000000020000000000000002)\nSTART TIMELINE: 2\n"
IDENTIFIER = 7541234567890123456
FACTS = StreamFacts("0/2000028", "0/2000120", 2, str(IDENTIFIER), "000000020000000000000003", 7)


def manifest(files: int = 3) -> bytes:
    odd = '"WAL-Ranges": [{"End-LSN": "F/F"}]'
    listed = [{"Path": f"base/{number} {odd}", "Size": 1} for number in range(files)]
    ranges = [{"Timeline": 2, "Start-LSN": "0/2000028", "End-LSN": "0/2000120"}]
    return (
        b'{ "PostgreSQL-Backup-Manifest-Version": 2,\n"Files": '
        + json.dumps(listed).encode()
        + b',\n"WAL-Ranges": '
        + json.dumps(ranges).encode()
        + b',\n"Manifest-Checksum": "00"}\n'
    )


def archive(**replaced: bytes | None) -> bytes:
    members: dict[str, bytes | None] = {
        "backup_label": LABEL,
        "base/5/1259": b"\x01" * 8192,
        "global/pg_control": struct.pack("=Q", IDENTIFIER) + bytes(8184),
        "pg_wal/000000020000000000000003": bytes(2048),
        "pg_wal/000000020000000000000002": bytes(2048),
        "empty": b"",
        "backup_manifest": manifest(),
    } | {name.replace("__", "/"): content for name, content in replaced.items()}
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, content in members.items():
            if content is not None:
                info = tarfile.TarInfo(name)
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
    return output.getvalue()


def watch(data: bytes, step: int = 1 << 20) -> StreamFacts:
    watcher = TarWatch()
    for start in range(0, len(data), step):
        watcher.feed(memoryview(data)[start : start + step])
    return watcher.facts()


@settings(max_examples=25, deadline=None)
@given(st.integers(min_value=1, max_value=3000))
def test_the_facts_do_not_depend_on_how_the_stream_is_cut(step: int) -> None:
    assert watch(archive(), step) == FACTS


def test_a_manifest_larger_than_what_is_kept_still_tells_where_the_wal_ends() -> None:
    assert watch(archive(backup_manifest=manifest(5000)), 65536).stop_lsn == "0/2000120"


def test_a_stream_that_ends_early_is_no_backup() -> None:
    with pytest.raises(IncompleteStreamError, match="ended in the middle"):
        watch(archive()[:9000])


@pytest.mark.parametrize("missing", ["backup_label", "global__pg_control", "backup_manifest"])
def test_a_stream_without_a_vital_member_is_no_backup(missing: str) -> None:
    with pytest.raises(IncompleteStreamError, match=missing.replace("__", "/")):
        watch(archive(**{missing: None}))


def test_a_manifest_without_wal_ranges_is_no_backup() -> None:
    with pytest.raises(IncompleteStreamError, match="where its WAL ends"):
        watch(archive(backup_manifest=b'{"Files": []}' + bytes(100)))


def test_something_that_is_no_tar_is_refused() -> None:
    with pytest.raises(IncompleteStreamError, match="not a tar|sum is wrong"):
        watch(b"HTTP/1.1 200 OK\r\n" * 100)


def test_a_size_beyond_octal_is_understood() -> None:
    from strongroom.backup.tarwatch import _size

    assert _size(b"\x80" + (9 << 30).to_bytes(11, "big")) == 9 << 30
