"""What would not end well is refused in the plan, before anything is written."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from strongroom.access import Actor, ActorKind, Role
from strongroom.backup.continuous import HistoryMissingError
from strongroom.backup.continuous.layout import wal_prefix
from strongroom.backup.manifest import manifest_key
from strongroom.backup.restoring.errors import (
    DirectoryInUseError,
    NotEnoughRoomError,
    PlanChangedError,
    TargetNotCoveredError,
    WalGapError,
)
from strongroom.backup.restoring.plan import parse_plan
from strongroom.backup.restoring.request import RestoreTarget
from strongroom.clock import FixedClock, SystemClock, timestamp
from strongroom.errors import AccessDeniedError
from strongroom.sealing import LocalKeyProvider
from strongroom.sealing.errors import KeyUnwrapError
from strongroom.storage import Condition, LocalObjectStore, ObjectInfo
from strongroom.storage.errors import StoreUnavailableError
from tests.integration.restoring.conftest import Archived
from tests.integration.restoring.site import ACTOR, engine_of

LATEST = RestoreTarget("latest")


def segments(archived: Archived) -> list[str]:
    """The keys of the archived segments, in order."""
    keys = (item.key for item in archived.site.store.list(wal_prefix("shop")))
    return sorted(key for key in keys if key.endswith(".zst.age"))


def plan(archived: Archived, target: RestoreTarget, into: Path, **parts):
    service = archived.site.restores(**parts)
    return service.plan(ACTOR, archived.site.request(target, into)).plan


def test_a_missing_segment_is_named_and_nothing_is_written(archived: Archived, into: Path) -> None:
    missing = segments(archived)[-2]
    archived.site.store.delete_version(missing, None)
    name = Path(missing).name.removesuffix(".zst.age")
    for target in (LATEST, RestoreTarget.at_time(timestamp(archived.stopped_at))):
        with pytest.raises(WalGapError, match=name):
            plan(archived, target, into)
    assert not into.exists()


def test_the_last_segment_missing_is_no_quiet_end(archived: Archived, into: Path) -> None:
    archived.site.store.delete_version(segments(archived)[-1], None)
    with pytest.raises(WalGapError):
        plan(archived, LATEST, into)


def test_a_segment_that_goes_missing_after_the_plan_stops_the_run_before_it_begins(
    archived: Archived, into: Path
) -> None:
    made = plan(archived, LATEST, into)
    archived.site.store.delete_version(segments(archived)[-1], None)
    with pytest.raises(WalGapError):
        archived.site.restores().run(ACTOR, made, made.sha256)
    assert not into.exists()


def test_only_the_approved_plan_is_run(archived: Archived, into: Path) -> None:
    made = plan(archived, LATEST, into)
    other = parse_plan({**made.document(), "directory": str(into.with_name("elsewhere"))})
    with pytest.raises(PlanChangedError):
        archived.site.restores().run(ACTOR, other, made.sha256)
    assert list(into.parent.iterdir()) == []


def test_the_future_is_refused_whatever_the_clock_here_says(archived: Archived, into: Path) -> None:
    """The restoring host's clock may be a day ahead or behind: only the source's own time counts."""
    later = RestoreTarget.at_time(timestamp(archived.stopped_at + timedelta(hours=1)))
    for days in (-1, 0, 1):
        clock = FixedClock(SystemClock().now() + timedelta(days=days))
        with pytest.raises(TargetNotCoveredError, match="everything up to"):
            plan(archived, later, into, clock=clock)
        made = plan(archived, RestoreTarget.at_time(timestamp(archived.stopped_at)), into, clock=clock)
        assert made.backup_id == archived.second_backup


def test_a_missing_history_is_refused(archived: Archived, into: Path) -> None:
    """A segment of a second timeline came without its history."""
    site = archived.site
    identifier = site.store.list(wal_prefix("shop")).__iter__().__next__().key.split("/")[2]
    last = Path(segments(archived)[-1]).name.removesuffix(".zst.age")
    site.put_segments(identifier, {"00000002" + last[8:]: b"x" * 100 + bytes((16 << 20) - 100)}, None, 0)
    with pytest.raises(HistoryMissingError, match="timeline 2"):
        plan(archived, LATEST, into)
    service = site.restores()
    old = service.plan(ACTOR, site.request(LATEST, into, timeline=1)).plan
    assert old.timeline == 1


class _HalfListing(LocalObjectStore):
    """A bucket whose listing breaks off in the middle."""

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        found = list(super().list(prefix))
        yield from found[: len(found) // 2]
        raise StoreUnavailableError("The bucket does not answer any more.")


def test_a_listing_that_fails_half_way_is_no_shorter_archive(archived: Archived, into: Path) -> None:
    broken = _HalfListing(archived.site.directory / "bucket")
    with pytest.raises(StoreUnavailableError):
        plan(archived, LATEST, into, store=broken)


def test_the_key_of_another_installation_is_refused(archived: Archived, into: Path, tmp_path: Path) -> None:
    other = LocalKeyProvider.generate(tmp_path / "other.key")
    with pytest.raises(KeyUnwrapError):
        plan(archived, LATEST, into, provider=other)


@pytest.mark.parametrize("what", ["a file in it", "a file instead", "a link to nowhere"])
def test_a_directory_that_is_not_free_is_left_alone(archived: Archived, into: Path, what: str) -> None:
    if what == "a file in it":
        into.mkdir()
        (into / "precious").write_text("keep me")
    elif what == "a file instead":
        into.write_text("keep me")
    else:
        into.symlink_to("/nowhere")
    with pytest.raises(DirectoryInUseError):
        plan(archived, LATEST, into)
    if what != "a link to nowhere":
        assert "keep me" in ((into / "precious") if into.is_dir() else into).read_text()


def test_too_little_room_is_refused_with_both_numbers(
    archived: Archived, into: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("strongroom.backup.restoring.service.free_bytes", lambda directory: 10_000_000)
    with pytest.raises(NotEnoughRoomError, match=r"has 10 MB free; the restore needs \d+ MB"):
        plan(archived, LATEST, into)


def test_who_may_not_restore_is_refused_and_that_is_recorded(archived: Archived, into: Path) -> None:
    auditor = Actor("auditor", ActorKind.PERSON, frozenset({Role.AUDITOR}))
    with pytest.raises(AccessDeniedError):
        archived.site.restores().plan(auditor, archived.site.request(LATEST, into))
    with engine_of(archived.site.control_url).connect() as connection:
        found = connection.execute(
            text("SELECT count(*) FROM audit_queue WHERE convert_from(entry, 'UTF8') LIKE '%restore_backup%'")
        ).scalar_one()
    assert found >= 1


def test_a_manifest_that_was_altered_is_passed_over_and_named(archived: Archived, into: Path) -> None:
    key = manifest_key("shop", archived.second_backup)
    data = archived.site.store.get_bytes(key)
    altered = data.replace(b'"physical"', b'"logical" ')
    archived.site.store.put_bytes(key, altered, condition=Condition.OVERWRITE)
    planned = archived.site.restores().plan(ACTOR, archived.site.request(LATEST, into))
    assert planned.plan.backup_id == archived.first_backup
    assert archived.second_backup in " ".join(planned.lines())
