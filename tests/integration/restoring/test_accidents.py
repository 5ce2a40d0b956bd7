"""What goes wrong on the way fails loudly, leaves nothing that could be taken for a restore, and can be run again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from strongroom.backup.continuous.layout import wal_prefix
from strongroom.backup.restoring import sizes
from strongroom.backup.restoring.errors import (
    DirectoryInUseError,
    DiskFullError,
    TablespaceInLogError,
    WrongSegmentError,
)
from strongroom.backup.restoring.request import RestoreTarget
from strongroom.clock import timestamp
from strongroom.errors import IntegrityError
from strongroom.postgres import connect
from strongroom.postgres.account import own_directory
from strongroom.storage import Condition, LocalObjectStore
from strongroom.storage.errors import StoreUnavailableError
from strongroom.vault import UnknownObjectError
from tests.integration.restoring.conftest import Archived
from tests.integration.restoring.site import ACTOR, committed_by, numbers, opened
from tests.support import REPOSITORY, require

LATEST = RestoreTarget("latest")


def last_segment(archived: Archived) -> str:
    keys = (item.key for item in archived.site.store.list(wal_prefix("shop")))
    return max(key for key in keys if key.endswith(".zst.age"))


def assert_marked(into: Path) -> None:
    """Nothing is called `data`, nothing runs, and the reason stands there."""
    names = {path.name for path in into.iterdir()}
    assert "data" not in names
    assert "spool" not in names
    assert "do not start" in (into / "RESTORE_FAILED").read_text()
    assert servers(into) == []


def servers(into: Path) -> list[str]:
    """The processes whose command line names the directory."""
    found = []
    for process in Path("/proc").iterdir():
        try:
            if str(into).encode() in (process / "cmdline").read_bytes():
                found.append(process.name)
        except OSError:
            continue
    return found


def test_a_corrupted_segment_stops_the_restore(archived: Archived, into: Path) -> None:
    store, key = archived.site.store, last_segment(archived)
    data = bytearray(store.get_bytes(key))
    data[len(data) // 2] ^= 1
    store.put_bytes(key, bytes(data), condition=Condition.OVERWRITE)
    with pytest.raises(IntegrityError):
        archived.site.restore(LATEST, into)
    assert_marked(into)


def test_a_segment_of_another_cluster_stops_the_restore(archived: Archived, into: Path) -> None:
    """A faithful archive of a wrong file: name, size, hash and signature are right, and it is another cluster's."""
    site, key = archived.site, last_segment(archived)
    name = Path(key).name.removesuffix(".zst.age")
    identifier = key.split("/")[2]
    wal = site.source.data_dir / "pg_wal" / name
    content = bytearray(wal.read_bytes())
    content[24:32] = (int(identifier) + 1).to_bytes(8, "little")
    for item in [key, f"{wal_prefix('shop', identifier, 1)}receipts/{name}-{name}.json"]:
        site.store.delete_version(item, None)
    site.put_segments(identifier, {name: bytes(content)}, archived.stopped_at, 0)
    with pytest.raises(WrongSegmentError, match=f"{name} of the archive belongs to another cluster"):
        site.restore(LATEST, into)
    assert_marked(into)


class _Vanishing(LocalObjectStore):
    """A bucket that is gone once the first archived segments were fetched."""

    def open_range(self, key: str, *arguments: Any, **options: Any) -> BinaryIO:
        if key == self.vanish_at:
            raise StoreUnavailableError("The bucket does not answer any more.")
        return super().open_range(key, *arguments, **options)

    vanish_at = ""


@pytest.mark.parametrize("where", ["base", "log"])
def test_a_bucket_that_is_gone_in_the_middle_and_the_same_restore_again(
    archived: Archived, into: Path, where: str
) -> None:
    site = archived.site
    store = _Vanishing(site.directory / "bucket")
    base = f"backups/shop/{archived.second_backup}/base.tar.zst.age"
    store.vanish_at = base if where == "base" else last_segment(archived)
    service = site.restores(store=store)
    plan = service.plan(ACTOR, site.request(LATEST, into)).plan
    with pytest.raises(StoreUnavailableError):
        service.run(ACTOR, plan, plan.sha256)
    assert_marked(into)
    other = site.request(RestoreTarget.at_time(timestamp(archived.stopped_at)), into)
    with pytest.raises(DirectoryInUseError, match="what a failed restore of shop"):
        site.restores().plan(ACTOR, other)

    store.vanish_at = ""
    report = service.run(ACTOR, plan, plan.sha256)
    assert {path.name for path in into.iterdir()} == {"data", "restore.json", "s", "server.log"}
    with opened(report, site.source) as cluster:
        assert numbers(cluster) == {commit.number for commit in archived.commits}


def in_another_process(
    archived: Archived, target: RestoreTarget, into: Path, stage: str, tmp_path: Path
) -> subprocess.CompletedProcess[str]:
    """Restore in a process of its own, which dies at a stage."""
    config = tmp_path / "config.json"
    config.write_text(
        json.dumps(
            {
                "directory": str(archived.site.directory),
                "control_url": archived.site.control_url,
                "into": str(into),
                "kind": target.kind,
                "value": target.value,
            }
        )
    )
    command = [sys.executable, "-m", "tests.integration.restoring.site", str(config), stage]
    return subprocess.run(command, cwd=REPOSITORY, check=False, capture_output=True, text=True)


def test_a_restore_stays_within_its_memory(archived: Archived, into: Path, tmp_path: Path) -> None:
    """Two segments are fetched at once, whatever their number: the rest is streams."""
    done = in_another_process(archived, LATEST, into, "never", tmp_path)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.splitlines()[-1]) < 256 << 10


@pytest.mark.parametrize("stage", ["unpack", "log", "recovered"])
def test_a_killed_restore_is_begun_anew_by_the_next(
    archived: Archived, into: Path, stage: str, tmp_path: Path
) -> None:
    commit = archived.commits[-10]
    target = RestoreTarget.at_time(timestamp(commit.at))
    killed = in_another_process(archived, target, into, stage, tmp_path)
    assert killed.returncode == -signal.SIGKILL
    assert not (into / "data").exists()

    report = archived.site.restore(target, into)
    with opened(report, archived.site.source) as cluster:
        assert numbers(cluster) == committed_by(archived.commits, commit.at)
    assert servers(into) == []


def test_remains_with_somebody_elses_file_are_left_alone(archived: Archived, into: Path) -> None:
    archived.site.store.delete_version(f"backups/shop/{archived.second_backup}/wal.tar.zst.age", None)
    with pytest.raises(UnknownObjectError):
        archived.site.restore(LATEST, into)
    (into / "notes.txt").write_text("mine")
    with pytest.raises(DirectoryInUseError, match=r"notes\.txt"):
        archived.site.restore(LATEST, into)
    assert (into / "notes.txt").read_text() == "mine"


@contextmanager
def small_disk(directory: Path, mebibytes: int) -> Iterator[None]:
    require("root, to mount a small file system", os.geteuid() == 0)
    directory.mkdir()
    options = f"size={mebibytes}m,mode=0755"
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(directory)]
    require("the right to mount", subprocess.run(command, capture_output=True, check=False).returncode == 0)
    try:
        yield
    finally:
        subprocess.run(["umount", str(directory)], check=True)


@pytest.mark.parametrize("mebibytes", [15, 60, 100])
def test_a_disk_that_fills_up_on_the_way_is_named(
    archived: Archived, into: Path, mebibytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Full while unpacking, while the log comes in, and when the server writes."""
    monkeypatch.setattr(sizes, "_HEADROOM_BYTES", -(1 << 40))
    with small_disk(into, mebibytes):
        with pytest.raises(DiskFullError, match=str(into)):
            archived.site.restore(LATEST, into / "here")
        assert not (into / "here" / "data").exists()
        assert servers(into) == []


def test_a_log_that_creates_a_tablespace_is_not_replayed_beyond_it(archived: Archived, into: Path) -> None:
    """Recovery would link the new tablespace to its place at the source, and write there."""
    site = archived.site
    place = site.source.data_dir.parent / "space"
    own_directory(place, site.source.account, setting="test")
    site.shipped.update(Path(key).name.removesuffix(".zst.age") for key in _segment_keys(archived))
    with connect(site.source.conninfo(), application_name="test") as connection:
        before = connection.execute("SELECT pg_current_wal_insert_lsn()::text").fetchone()
        connection.execute(f"CREATE TABLESPACE elsewhere LOCATION '{place}'".encode())
        connection.execute("DROP TABLESPACE elsewhere")
    site.ship()
    assert before is not None
    with pytest.raises(TablespaceInLogError, match="--to-lsn"):
        site.restore(LATEST, into)
    assert_marked(into)
    assert list(place.iterdir()) == []
    site.restore(RestoreTarget.at_lsn(before[0]), into.with_name("before"))


def _segment_keys(archived: Archived) -> list[str]:
    keys = (item.key for item in archived.site.store.list(wal_prefix("shop")))
    return [key for key in keys if key.endswith(".zst.age")]
