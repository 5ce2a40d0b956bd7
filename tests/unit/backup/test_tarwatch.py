"""The watch reads a backup's facts from its tar stream, however the stream is cut into buffers."""

from __future__ import annotations

import hashlib
import io
import json
import struct
import tarfile
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strongroom.backup import IncompleteStreamError, ManifestError
from strongroom.backup.server_manifest import ServerManifest
from strongroom.backup.tarwalk import TarWalk
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
    from strongroom.backup.tarwalk import _size

    assert _size(b"\x80" + (9 << 30).to_bytes(11, "big")) == 9 << 30


def test_the_servers_manifest_is_kept_to_the_byte() -> None:
    kept = ServerManifest()
    watcher = TarWatch(kept)
    data = archive(backup_manifest=manifest(5000))
    for start in range(0, len(data), 4099):
        watcher.feed(memoryview(data)[start : start + 4099])
    assert b"".join(kept.pieces()) == manifest(5000)
    assert kept.sha256 == hashlib.sha256(manifest(5000)).hexdigest()
    again = ServerManifest.decompressed(kept.compressed(), kept.sha256)
    assert b"".join(again.pieces()) == manifest(5000)
    again.close()
    kept.close()


@pytest.mark.parametrize("damage", [lambda data: data[:-5], lambda data: b"", lambda data: b"x" + data])
def test_a_kept_manifest_that_is_not_whole_is_refused(damage: Callable[[bytes], bytes]) -> None:
    kept = ServerManifest()
    kept.write(manifest(5000))
    compressed = damage(b"".join(kept.compressed()))
    with pytest.raises(ManifestError):
        ServerManifest.decompressed([compressed], kept.sha256)
    with pytest.raises(ManifestError, match="not the one"):
        ServerManifest.decompressed(kept.compressed(), "00" * 32)
    kept.close()


@settings(max_examples=25, deadline=None)
@given(st.integers(min_value=1, max_value=3000))
def test_the_walk_tells_members_from_the_end(step: int) -> None:
    data = archive()
    members = len(data.rstrip(b"\0")) + -len(data.rstrip(b"\0")) % 512
    for stream in (data, data[:members]):
        walk = TarWalk()
        for start in range(0, len(stream), step):
            walk.feed(memoryview(stream)[start : start + step])
        assert walk.position == members
        assert walk.ended == (stream is data)
        assert walk.between_members
