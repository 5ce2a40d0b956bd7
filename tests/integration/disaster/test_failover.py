"""The page after a failover: the log goes on, on another timeline, and is followed there as the program follows it."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from strongroom.access import Actor, ActorKind, Role
from strongroom.audit import QueueRecorder
from strongroom.backup.continuous import HistoryMissingError
from strongroom.backup.restoring.request import RestoreRequest, RestoreTarget
from strongroom.backup.restoring.service import PhysicalRestoreService, RestoreParts
from strongroom.sealing import KeyRing, LocalKeyProvider
from strongroom.storage import LocalObjectStore
from tests.integration.continuous.standby import caught_up, promote, standby
from tests.integration.disaster.conftest import Site, Told, content
from tests.integration.disaster.test_bare_metal import restored

INSERT = (
    "INSERT INTO public.actor (first_name, last_name) SELECT '{0}', g::text FROM generate_series(1, 200) g"
)
PERSON = Actor("restorer", ActorKind.PERSON, frozenset({Role.OPERATOR}))


@pytest.fixture(scope="module")
def told(site: Site) -> Iterator[Told]:
    """A backup on the first timeline, a failover, a backup of the server that was left behind, work on the second."""
    site.ship()
    site.back_up()
    site.sql(INSERT.format("before"))
    contents = {"shipped": content(site.cluster.conninfo("pagila"))}
    site.ship()
    with standby(site.cluster) as promoted:
        site.sql(INSERT.format("unshipped"))
        caught_up(promoted, site.cluster)
        promote(promoted)
        site.sql(INSERT.format("astray"))
        site.back_up()
        contents["astray"] = content(site.cluster.conninfo("pagila"))
        site.cluster.stop("immediate")
        moved = replace(site, cluster=promoted)
        moved.sql(INSERT.format("after"))
        moment = moved.now()
        contents["after"] = content(promoted.conninfo("pagila"))
        moved.sql(INSERT.format("late"))
        moved.ship()
        contents["end"] = content(promoted.conninfo("pagila"))
        yield Told(moved, {"after": moment}, {}, contents)


def timeline(desk, number: int) -> Path:
    """What was shipped of a timeline."""
    (folder,) = (desk.folder / "bucket" / "wal").rglob(f"{number:08X}")
    return folder


def planned(desk, told, target: RestoreTarget) -> tuple[str, int]:
    """The backup and the timeline that the program itself would take."""
    of = told.site.parts
    store, verifier = LocalObjectStore(desk.folder / "bucket"), of.signer.verifier
    parts = RestoreParts(
        store=store,
        verifier=verifier,
        keyring=KeyRing(store, verifier, of.clock),
        provider=LocalKeyProvider(desk.folder / "local.key"),
        clock=of.clock,
        vault=of.vault,
        events=QueueRecorder(lambda: of.engine, of.sink),
    )
    request = RestoreRequest("pagila", target, desk.folder / "planned")
    plan = PhysicalRestoreService(parts).plan(PERSON, request).plan
    return plan.backup_id, plan.timeline


def test_the_log_is_followed_to_the_new_timeline(desk, told):
    done = desk.script("--end")
    assert done.returncode == 0, done.stderr
    assert restored(desk) == told.contents["end"]
    assert f"from {told.site.backups[0]} and" in done.stderr


def test_a_moment_after_the_failover_comes_back(desk, told):
    done = desk.script("--time", told.moments["after"])
    assert done.returncode == 0, done.stderr
    assert restored(desk) == told.contents["after"]


def test_a_backup_of_the_server_that_was_left_behind_leads_nowhere_but_to_itself(desk, told):
    first, astray = told.site.backups
    assert planned(desk, told, RestoreTarget("latest")) == (first, 2)
    assert "leads to end" in desk.script("--end", "-n", astray).stderr
    shutil.rmtree(desk.folder / "restored.restore")
    done = desk.script("-n", astray)
    assert done.returncode == 0, done.stderr
    assert restored(desk) == told.contents["astray"]


def test_a_history_with_nothing_after_it_is_not_followed(desk, told):
    """The old timeline reaches further: a promotion whose own log has not come yet."""
    first, astray = told.site.backups
    shutil.rmtree(desk.folder / "bucket" / "backups" / "pagila" / astray)
    folder = timeline(desk, 2)
    for path in [path for path in folder.rglob("*") if path.is_file() and ".history" not in path.name]:
        path.unlink()
    assert planned(desk, told, RestoreTarget("latest")) == (first, 1)
    done = desk.script("--end")
    assert done.returncode == 0, done.stderr
    assert restored(desk) == told.contents["shipped"]


@pytest.mark.parametrize("name", ["00000002.history.age", "00000002.history.json"])
def test_a_missing_history_is_refused(desk, told, name):
    (timeline(desk, 2) / name).unlink()
    with pytest.raises(HistoryMissingError):
        planned(desk, told, RestoreTarget("latest"))
    done = desk.script("--end")
    assert done.returncode != 0
    assert "the history of timeline 2, is missing" in done.stderr
    assert not desk.directory.exists()


def test_another_history_than_the_receipt_tells_of_is_refused(desk, told):
    receipt = timeline(desk, 2) / "00000002.history.json"
    document = json.loads(receipt.read_text())
    document["switches"][0]["position"] = "0/1000000"
    receipt.write_text(json.dumps(document, separators=(",", ":")))
    assert "does not hold" in desk.script("--end").stderr
    assert not desk.directory.exists()
