"""The embedded S3 server: private, restartable, gone when it is stopped."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from strongroom.embedded.errors import PartFailedError
from strongroom.embedded.process import ChildProcess
from strongroom.embedded.seaweedfs import SeaweedServer
from strongroom.storage import S3ObjectStore


def ended(process_id: int) -> bool:
    """Whether a process is gone, or waits for its parent to notice."""
    try:
        state = Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return True
    return state == "Z"


def test_it_keeps_its_objects_and_its_address_through_a_restart(own_seaweed: SeaweedServer) -> None:
    address = own_seaweed.endpoint_url
    client = own_seaweed.client()
    store = S3ObjectStore(client, "bucket")
    store.put_bytes("kept", b"x")

    own_seaweed.stop()
    own_seaweed.start()

    assert own_seaweed.endpoint_url == address
    assert store.get_bytes("kept") == b"x"
    client.close()


def test_its_credentials_are_readable_by_its_owner_alone(seaweed: SeaweedServer) -> None:
    assert stat.S_IMODE((seaweed.directory / "identities.json").stat().st_mode) == 0o600


def test_a_program_that_ends_is_reported_with_its_last_lines(tmp_path: Path) -> None:
    child = ChildProcess(
        "The server",
        ["/bin/sh", "-c", "echo no disk; exit 3"],
        log_path=tmp_path / "log",
        environment={"PATH": "/usr/bin:/bin"},
    )
    child.start()

    with pytest.raises(PartFailedError, match="no disk"):
        child.await_ready(lambda: False, 10.0)
    child.stop()


def test_stopping_ends_what_the_program_started(tmp_path: Path) -> None:
    child = ChildProcess(
        "The server",
        ["/bin/sh", "-c", "trap '' TERM; sleep 300 & echo $! > pid; wait; wait"],
        log_path=tmp_path / "log",
        environment={"PATH": "/usr/bin:/bin"},
    )
    child.start()
    child.await_ready(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text() != "", 10.0)
    grandchild = int((tmp_path / "pid").read_text())

    child.stop(patience_seconds=0.2)

    assert ended(grandchild)
