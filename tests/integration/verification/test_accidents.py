"""A full disk is named with its numbers; what a killed run leaves, the next one removes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from strongroom.backup.verification import VerificationChecks, fetching
from strongroom.postgres import ScratchFullError
from tests.integration.verification.place import Place
from tests.support import REPOSITORY, require


@contextmanager
def _small_scratch(place: Place, mebibytes: int) -> Iterator[None]:
    require("root, to mount a small file system", os.geteuid() == 0)
    options = f"size={mebibytes}m,mode=0755"
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place.scratch_root)]
    mounted = subprocess.run(command, capture_output=True, check=False).returncode == 0
    require("the right to mount", mounted)
    try:
        yield
        assert place.left_over() == []
    finally:
        subprocess.run(["umount", str(place.scratch_root)], check=True)


def test_a_backup_that_will_not_fit_is_refused_with_both_numbers(place: Place) -> None:
    with (
        _small_scratch(place, 100),
        pytest.raises(ScratchFullError, match=r"has 100 MiB free.*needs \d+ MiB"),
    ):
        place.verify()


@pytest.mark.parametrize("mebibytes", [20, 75])
def test_a_disk_that_fills_up_on_the_way_is_named(
    place: Place, mebibytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """20 MiB are full while unpacking, 75 MiB when the server begins to write."""
    monkeypatch.setattr(fetching, "_HEADROOM_BYTES", -(1 << 40))
    with _small_scratch(place, mebibytes), pytest.raises(ScratchFullError, match="scratch"):
        place.verify(VerificationChecks(amcheck=False))


@pytest.mark.parametrize("stage", ["fetch", "L1", "L3", "L4", "L5"])
def test_what_a_killed_run_left_is_removed_by_the_next(place: Place, stage: str) -> None:
    config = place.directory / "config.json"
    config.write_text(
        json.dumps(
            {
                "directory": str(place.directory),
                "control_url": place.control_url,
                "scratch_root": str(place.scratch_root),
                "backup_id": place.backup_id,
            }
        )
    )
    command = [sys.executable, "-m", "tests.integration.verification.place", str(config), stage]
    killed = subprocess.run(command, cwd=REPOSITORY, check=False)
    assert killed.returncode == -signal.SIGKILL
    [directory] = place.left_over()

    servers = _servers(directory)
    assert bool(servers) == (stage in ("L3", "L4", "L5"))
    place.store.delete_version(place.item("wal").key, None)  # so that the next run is a short one
    assert not place.verify().proven
    assert _servers(directory) == []


def _servers(directory: str) -> list[str]:
    """The processes whose command line names the directory."""
    found = []
    for process in os.listdir("/proc"):  # noqa: PTH208
        try:
            with open(f"/proc/{process}/cmdline", "rb") as file:  # noqa: PTH123
                if directory.encode() in file.read():
                    found.append(process)
        except (FileNotFoundError, NotADirectoryError, ProcessLookupError, PermissionError):
            continue
    return found
