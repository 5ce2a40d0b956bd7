"""Servers that stop, connections that break, writers that are killed, files that are altered."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from strongroom.embedded.seaweedfs import SeaweedServer
from strongroom.errors import TransientError
from strongroom.storage import (
    BucketNotFoundError,
    ChecksumMismatchError,
    LocalObjectStore,
    ObjectStore,
    RetryPolicy,
    S3ObjectStore,
    StoreDeniedError,
    StoreUnavailableError,
)
from strongroom.storage.localfiles import recorded_checksum
from tests.integration.storage.conftest import Place
from tests.integration.storage.proxy import BreakingProxy
from tests.support import require

MIB = 1024 * 1024
IMPATIENT = RetryPolicy(window_seconds=0.5, first_delay_seconds=0.05)
WRITER = """
import sys, time
from pathlib import Path
from strongroom.storage import LocalObjectStore, S3ObjectStore, s3_client

def chunks():
    for _ in range(5):
        yield bytes(8 * 1024 * 1024)
    print("half", flush=True)
    time.sleep(600)

kind, place, bucket, key, secret = sys.argv[1:]
if kind == "local":
    store = LocalObjectStore(Path(place))
else:
    client = s3_client(endpoint_url=place, region="us-east-1", access_key=key, secret_key=secret)
    store = S3ObjectStore(client, bucket, "prefix")
store.put_stream("killed", chunks())
"""


def own_store(server: SeaweedServer, policy: RetryPolicy = IMPATIENT) -> S3ObjectStore:
    return S3ObjectStore(server.client(), "bucket", "prefix", retry_policy=policy)


def port_of(place: Place) -> int:
    return int(place.endpoint_url.rpartition(":")[2])


def kill_a_writer(kind: str, *arguments: str, ready: Callable[[], bool] = lambda: True) -> None:
    """Start a writer in another process and end it as a power cut would, in the middle of its stream."""
    with subprocess.Popen([sys.executable, "-c", WRITER, kind, *arguments], stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"half\n"
        while not ready():
            time.sleep(0.05)
        writer.send_signal(signal.SIGKILL)


def assert_no_debris_after(store: ObjectStore) -> None:
    assert list(store.list_versions("")) == []
    assert store.abort_incomplete_uploads("") == 1
    assert store.abort_incomplete_uploads("") == 0
    store.put_stream("killed", [b"now"])
    assert store.get_bytes("killed") == b"now"


def test_a_killed_local_writer_leaves_no_debris(tmp_path: Path) -> None:
    store = LocalObjectStore(tmp_path / "store")
    kill_a_writer("local", str(tmp_path / "store"), "-", "-", "-")

    assert_no_debris_after(store)


def test_a_killed_s3_writer_leaves_no_debris(place: Place, seaweed: SeaweedServer) -> None:
    client = seaweed.client()
    kill_a_writer(
        "s3",
        place.endpoint_url,
        place.bucket,
        "tests",
        place.secret_key,
        ready=lambda: "Uploads" in client.list_multipart_uploads(Bucket=place.bucket),
    )

    assert_no_debris_after(place.store())
    client.close()


def test_the_upload_of_a_living_local_writer_stays(local_store: LocalObjectStore) -> None:
    def chunks() -> Iterator[bytes]:
        yield b"half"
        assert local_store.abort_incomplete_uploads("") == 0
        yield b"whole"

    local_store.put_stream("living", chunks())

    assert local_store.get_bytes("living") == b"halfwhole"


def test_a_server_that_stops_in_the_middle_is_a_transient_failure(own_seaweed: SeaweedServer) -> None:
    store = own_store(own_seaweed)

    def chunks() -> Iterator[bytes]:
        for number in range(8):
            if number == 4:
                own_seaweed.kill()
            yield bytes(8 * MIB)

    with pytest.raises(TransientError):
        store.put_stream("stopped", chunks())
    with pytest.raises(StoreUnavailableError):
        list(store.list(""))

    own_seaweed.start()
    store.abort_incomplete_uploads("")
    assert store.put_stream("stopped", (bytes(8 * MIB) for _ in range(8))).size_bytes == 64 * MIB
    assert len(list(store.list_versions(""))) == 1


def test_a_server_that_comes_back_in_time_is_not_noticed(own_seaweed: SeaweedServer) -> None:
    store = own_store(own_seaweed, RetryPolicy(window_seconds=60.0))
    restart = threading.Thread(target=own_seaweed.start)

    def chunks() -> Iterator[bytes]:
        for number in range(8):
            if number == 4:
                own_seaweed.kill()
                restart.start()
            yield bytes([number]) * (8 * MIB)

    info = store.put_stream("restarted", chunks())
    restart.join()

    assert info.size_bytes == 64 * MIB
    with store.open_range("restarted", 56 * MIB - 1, 2) as reader:
        assert reader.read() == b"\x06\x07"
    assert store.abort_incomplete_uploads("") == 0


def test_a_broken_connection_is_read_on_where_it_broke(place: Place) -> None:
    content = os.urandom(12 * MIB)
    place.store().put_bytes("read", content)

    # the first connection carries the answer to HEAD and then 5 MiB of the content
    with BreakingProxy(port_of(place), [5 * MIB, 3 * MIB]) as proxy:
        with place.store(endpoint_url=proxy.endpoint_url).open_range("read") as reader:
            assert reader.read() == content
        assert proxy.connections == 3


def test_connections_that_always_break_end_in_a_transient_failure(place: Place) -> None:
    place.store().put_bytes("read", bytes(MIB))

    with (
        BreakingProxy(port_of(place), [0] * 1000) as proxy,
        pytest.raises(StoreUnavailableError),
    ):
        place.store(endpoint_url=proxy.endpoint_url, policy=IMPATIENT).get_bytes("read")


def test_a_write_whose_answer_was_lost_is_done_once(place: Place) -> None:
    with BreakingProxy(port_of(place), [0]) as proxy:
        info = place.store(endpoint_url=proxy.endpoint_url).put_bytes("answer", b"lost")

    store = place.store()
    assert [version.version_id for version in store.list_versions("")] == [info.version_id]
    assert store.get_bytes("answer") == b"lost"


def test_wrong_credentials_are_said_to_be_wrong(place: Place) -> None:
    with pytest.raises(StoreDeniedError, match="permit"):
        place.store(secret_key="another-key").get_bytes("x")


def test_a_bucket_that_is_not_there_is_not_an_empty_one(seaweed: SeaweedServer) -> None:
    client = seaweed.client()

    with pytest.raises(BucketNotFoundError):
        list(S3ObjectStore(client, "no-such-bucket").list(""))
    client.close()


def test_a_directory_that_went_away_is_not_an_empty_one(tmp_path: Path) -> None:
    store = LocalObjectStore(tmp_path / "store")
    (tmp_path / "store").rename(tmp_path / "elsewhere")

    with pytest.raises(StoreUnavailableError, match="mounted"):
        list(store.list(""))
    with pytest.raises(BucketNotFoundError, match="mounted"):
        LocalObjectStore(tmp_path / "store", create=False)


def test_an_altered_local_file_is_not_given_out(local_store: LocalObjectStore, tmp_path: Path) -> None:
    local_store.put_bytes("altered", b"content")
    path = tmp_path / "store" / "altered"
    require("A file system with extended attributes", recorded_checksum(path) is not None)
    with path.open("r+b") as file:
        file.write(b"C")

    with pytest.raises(ChecksumMismatchError, match="altered"):
        local_store.get_bytes("altered")
