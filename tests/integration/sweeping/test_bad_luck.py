"""What goes wrong while rows move: they change, somebody else sweeps, the bucket lies, a sweep is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import text

from strongroom.archive import (
    ArchiveDivergedError,
    ReadBackError,
    RowsChangedError,
    SweepBlockedError,
    SweepInProgressError,
)
from strongroom.archive.standing import parts_in_force, read_parts
from strongroom.catalog import ArchivePartRepository
from strongroom.embedded.seaweedfs import SeaweedServer
from strongroom.errors import IntegrityError, TransientError
from strongroom.postgres import advisory_lock
from strongroom.storage import Buffer, LocalObjectStore, ObjectInfo, S3ObjectStore
from tests.integration.sweeping.estate import ACTOR, Estate


class MeddlingStore(LocalObjectStore):
    """A bucket that lets something happen when an object with that name has been written."""

    def __init__(self, directory: Path, name: str, happen: Callable[[], None], times: int = 1) -> None:
        super().__init__(directory)
        self._name, self._happen, self._times = name, happen, times

    def put_stream(self, key: str, chunks: Iterable[Buffer], **options: Any) -> ObjectInfo:
        info = super().put_stream(key, chunks, **options)
        self._written(key)
        return info

    def put_bytes(self, key: str, data: bytes, **options: Any) -> ObjectInfo:
        info = super().put_bytes(key, data, **options)
        self._written(key)
        return info

    def _written(self, key: str) -> None:
        if key.endswith(self._name) and self._times:
            self._times -= 1
            self._happen()


def meddled(estate: Estate, name: str, happen: Callable[[], None], times: int = 1) -> None:
    store = MeddlingStore(estate.directory / "bucket", name, happen, times)
    estate.archiver(store=store).sweep(ACTOR, estate.policy, estate.conninfo, "public.orders")


CHANGES = [
    "UPDATE orders SET note = 'new' WHERE order_id = 1",
    "DELETE FROM line WHERE order_id = 1 AND number = 2",
    "INSERT INTO line VALUES (1, 9, '2024-07-11', 1)",
    "INSERT INTO orders VALUES (999, 1, '2024-07-12', 1)",
    "INSERT INTO ticket VALUES (1, 1)",
]


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_while_rows_are_archived_is_not_lost(estate: Estate, change: str) -> None:
    meddled(estate, "persons.age", lambda: estate.run(change) and None)
    after = estate.everything()
    estate.sweep()
    assert estate.everything() == after
    untouched = local_copy_with(estate, change)
    assert after == untouched


def local_copy_with(estate: Estate, change: str) -> Any:
    """What there is when the change is all that ever happened."""
    from tests.integration.sweeping.estate import SHOP

    with estate.connect() as connection:
        connection.execute("CREATE SCHEMA other")
        connection.execute("SET search_path = other")
        connection.execute(SHOP)
        connection.execute(change.encode())
    found = estate.live("other.orders") + estate.live("other.line")
    estate.run("DROP SCHEMA other CASCADE")
    return found


def test_rows_that_change_again_and_again_stay_and_the_next_sweep_takes_them(estate: Estate) -> None:
    before = estate.everything()
    with pytest.raises(RowsChangedError):
        meddled(
            estate,
            "persons.age",
            lambda: estate.run("UPDATE orders SET total = total WHERE order_id = 1") and None,
            times=9,
        )
    assert estate.everything() == before
    assert estate.parts() == []
    assert [info.key for info in estate.store.list("archive/")] == []
    estate.sweep()
    assert estate.everything() == before


def test_two_sweeps_at_once(estate: Estate) -> None:
    before, results = estate.everything(), []

    def sweep() -> None:
        try:
            results.append(estate.sweep().rows)
        except SweepInProgressError:
            results.append(None)

    threads = [threading.Thread(target=sweep) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(rows or 0 for rows in results) == 352
    assert estate.everything() == before


def test_a_table_that_is_being_swept_is_left_alone(estate: Estate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("strongroom.archive.sweeping._LOCK_PATIENCE_SECONDS", 0.2)
    with (
        estate.connect() as other,
        advisory_lock(other, "archive public.orders"),
        pytest.raises(SweepInProgressError),
    ):
        estate.sweep()


def test_a_bucket_that_gives_back_other_bytes_keeps_the_rows(estate: Estate) -> None:
    def flip() -> None:
        (path,) = (estate.directory / "bucket" / "archive").rglob("*public.line.parquet.age")
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.chmod(0o600)
        path.write_bytes(data)

    before = estate.everything()
    with pytest.raises(IntegrityError):
        meddled(estate, "public.line.parquet.age", flip)
    assert estate.everything() == before
    assert estate.parts() == []


def test_a_value_that_comes_back_altered_keeps_the_rows(
    estate: Estate, monkeypatch: pytest.MonkeyPatch
) -> None:
    from strongroom.archive import rowfiles

    seen: list[bytes] = []
    whole = rowfiles.batch_digest

    def digest(batch: Any) -> bytes:
        seen.append(whole(batch))
        return seen[-1] if len(seen) != 2 else b"another"

    monkeypatch.setattr(rowfiles, "batch_digest", digest)
    before = estate.everything()
    with pytest.raises(ReadBackError, match="other values"):
        estate.sweep()
    assert estate.everything() == before


def test_a_trigger_that_keeps_rows_stops_the_sweep(estate: Estate) -> None:
    estate.run(
        "CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN IF old.order_id = 3 THEN RETURN NULL; END IF; RETURN old; END $$"
    )
    estate.run("CREATE TRIGGER keep BEFORE DELETE ON orders FOR EACH ROW EXECUTE FUNCTION keep()")
    before = estate.everything()
    with pytest.raises(SweepBlockedError, match="trigger"):
        estate.sweep()
    assert estate.everything() == before


def test_a_source_that_was_restored_to_an_earlier_moment_is_noticed(estate: Estate) -> None:
    estate.sweep()
    estate.run("DELETE FROM strongroom.archived_part")
    with pytest.raises(ArchiveDivergedError, match="does not know to be gone"):
        estate.sweep()
    assert estate.parts() == []


def test_a_control_database_that_fails_after_the_rows_left_is_made_up_for(estate: Estate) -> None:
    before = estate.everything()

    def fail() -> None:
        raise TransientError("The control database went away.")

    with pytest.raises(TransientError):
        meddled(estate, "receipt.json", fail)
    assert estate.everything() == before
    summary = estate.sweep()
    assert summary.finished_parts == 1
    assert estate.everything() == before
    commits = [event for event in estate.events() if event["type"] == "archive:part:commit"]
    assert len(commits) == len(estate.parts()) == 2


def test_a_control_database_that_was_made_anew_learns_of_the_parts(estate: Estate) -> None:
    estate.sweep()
    with estate.engine.begin() as connection:
        connection.execute(text("DELETE FROM archive_part"))
    estate.sweep()
    with estate.engine.connect() as connection:
        known = {record.part_id for record in ArchivePartRepository().list(connection, "shop")}
    assert known == {part.part_id for part in estate.parts()}


@pytest.mark.parametrize("object_lock", [True, False])
def test_a_bucket_with_or_without_versions_and_locks(
    estate: Estate, seaweed: SeaweedServer, object_lock: bool
) -> None:
    bucket = f"test-{uuid4().hex}"
    seaweed.create_bucket(bucket, object_lock=object_lock)
    client = seaweed.client()
    there = replace(estate, directory=estate.directory / "s3", store=S3ObjectStore(client, bucket, "prefix"))
    there.directory.mkdir()
    there.make_keys()
    before = there.everything()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("strongroom.archive.moving.mark", _fail)
        patch.setattr("strongroom.archive.moving.remove_unfinished", lambda store, prefix: None)
        with pytest.raises(TransientError):
            there.sweep()
    assert len(list(there.store.list("archive/"))) == 3
    summary = there.sweep()
    assert (summary.discarded_parts, len(summary.parts)) == (1, 2)
    assert there.everything() == before
    left = {info.key.rpartition("/")[0] + "/" for info in there.store.list_versions("archive/")}
    assert left == {part.manifest.prefix for part in there.parts()}
    client.close()


def _fail(*_: object) -> None:
    raise TransientError("The source went away.")


KILL = """
import os, signal, sys
from datetime import datetime
from pathlib import Path
from sqlalchemy import create_engine
from strongroom.archive import moving, settling
from tests.integration.sweeping.estate import ACTOR, Estate
from tests.integration.sweeping.test_bad_luck import MeddlingStore

directory, conninfo, control, moment = sys.argv[1:]
die = lambda: os.kill(os.getpid(), signal.SIGKILL)
store = MeddlingStore(Path(directory) / "bucket", moment, die)
estate = Estate(Path(directory), conninfo, create_engine(control), store)
if moment == "deleted":
    moving.mark = lambda *arguments: die()
if moment == "committed":
    import strongroom.archive.sweeping as sweeping
    sweeping.finish = lambda *arguments: die()
if moment == "recorded":
    settling.mark_recorded = lambda *arguments: die()
estate.archiver(store=store).sweep(ACTOR, estate.policy, conninfo, "public.orders")
"""


@pytest.mark.parametrize(
    "moment",
    [
        "public.orders.parquet.age",
        "public.line.parquet.age",
        "persons.age",
        "deleted",
        "manifest.json",
        "committed",
        "receipt.json",
        "recorded",
    ],
)
def test_a_sweep_that_is_killed_loses_nothing_and_blocks_nothing(estate: Estate, moment: str) -> None:
    before = estate.everything()
    control = estate.engine.url.render_as_string(hide_password=False)
    killed = subprocess.run(
        [sys.executable, "-c", KILL, str(estate.directory), estate.conninfo, control, moment],
        env=dict(os.environ),
        timeout=120,
    )
    assert killed.returncode == -signal.SIGKILL
    assert estate.everything() == before
    summary = estate.sweep()
    assert estate.everything() == before
    assert estate.run("SELECT count(*) FROM orders WHERE ordered_at < '2024-08-24'") == [(0,)]
    left = moment in ("committed", "receipt.json", "recorded")
    assert (summary.finished_parts, summary.discarded_parts) == ((1, 0) if left else (0, 1))
    parts = read_parts(estate.store, estate.signer.verifier, "shop")
    assert [part.part_id for part in parts_in_force(parts, None)] == [part.part_id for part in estate.parts()]
    folders = {info.key.rpartition("/")[0] for info in estate.store.list("archive/")}
    assert folders == {part.manifest.prefix.rstrip("/") for part in parts}
    commits = [event for event in estate.events() if event["type"] == "archive:part:commit"]
    assert len(commits) == 2
