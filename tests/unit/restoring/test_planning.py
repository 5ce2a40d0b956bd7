"""The planner chooses what leads to the target, and refuses in words what nothing leads to."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from strongroom.backup.continuous import HistoryMissingError
from strongroom.backup.restoring.choosing import archived_window
from strongroom.backup.restoring.errors import (
    BackupMissingError,
    NotThisBackupError,
    PlanChangedError,
    TargetError,
    TargetNotCoveredError,
    TimelineError,
    WalGapError,
)
from strongroom.backup.restoring.facts import Rates, RestoreFacts, StoredManifest
from strongroom.backup.restoring.plan import RestorePlan, human_plan, parse_plan
from strongroom.backup.restoring.planning import make_plan
from strongroom.backup.restoring.rechecking import recheck
from strongroom.backup.restoring.request import RestoreRequest, RestoreTarget
from strongroom.clock import timestamp
from strongroom.postgres import format_lsn, segment_name
from tests.unit.restoring.facts import CLUSTER, SEGMENT, at, backup, log, place, timeline

FIRST, SECOND = backup(1, 2, 10), backup(2, 20, 60)
ONE = timeline(1, range(1, 31), {10: 30, 22: 70, 30.5: 90, 31: 100})
FACTS = RestoreFacts("shop", (FIRST, SECOND), {CLUSTER: log(ONE)})


def plan(target: RestoreTarget, facts: RestoreFacts = FACTS, **options: object) -> RestorePlan:
    request = RestoreRequest("shop", target, Path("/restored"), **options)  # type: ignore[arg-type]
    return make_plan(request, facts)[0]


def moment(minutes: float) -> RestoreTarget:
    return RestoreTarget.at_time(timestamp(at(minutes)))


def position(segments: float) -> RestoreTarget:
    return RestoreTarget.at_lsn(format_lsn(place(segments)))


def name(number: int, of: int = 1) -> str:
    return segment_name(of, number * SEGMENT, SEGMENT)


def archive(*present: int, clocks: dict[float, float] | None = None) -> RestoreFacts:
    return replace(FACTS, logs={CLUSTER: log(timeline(1, present, clocks or {31: 100}))})


def test_a_moment_is_reached_from_the_newest_backup_that_was_finished_by_then() -> None:
    assert plan(moment(59)).backup_id == FIRST.id
    assert plan(moment(60.5)).backup_id == FIRST.id, "the second was under way"
    assert plan(moment(61)).backup_id == SECOND.id


def test_the_log_goes_as_far_as_the_first_tie_between_clock_and_log_after_the_moment() -> None:
    made = plan(moment(20))
    assert (made.log.first, made.log.last) == (name(2), name(9))
    assert (made.log.own, made.log.archived) == (2, 6)
    assert (made.target.kind, made.target.timeline) == ("time", "1")


def test_a_position_is_reached_from_the_newest_backup_that_ended_before_it() -> None:
    assert plan(position(20)).backup_id == FIRST.id
    made = plan(position(25))
    assert made.backup_id == SECOND.id
    assert (made.target.value, made.target.inclusive) == (format_lsn(place(25)), False)
    assert made.log.last == name(24)


def test_the_end_of_the_archive_is_always_an_explicit_position() -> None:
    made = plan(RestoreTarget("latest"))
    assert (made.target.kind, made.target.value) == ("lsn", format_lsn(place(31)))


def test_without_an_archive_the_end_is_the_newest_backups_own_restore_point() -> None:
    made = plan(RestoreTarget("latest"), replace(FACTS, logs={}))
    assert (made.target.kind, made.target.value) == ("name", f"strongroom_{SECOND.id}")
    assert made.log.archived == 0


def test_a_backups_own_point_needs_nothing_of_the_archive() -> None:
    for target in (RestoreTarget("backup"), RestoreTarget.at_point(f"strongroom_{FIRST.id}")):
        made = plan(target, archive(), backup_id=FIRST.id)
        assert (made.backup_id, made.log.archived) == (FIRST.id, 0)


def test_a_name_that_nobody_can_know_needs_a_backup_to_begin_from() -> None:
    with pytest.raises(TargetError, match="no backup's own restore point"):
        plan(RestoreTarget.at_point("before_migration"))
    request = RestoreRequest("shop", RestoreTarget.at_point("before_migration"), Path("/restored"), FIRST.id)
    made, estimate = make_plan(request, FACTS)
    assert made.log.last == name(30)
    assert "only when recovery gets to it" in " ".join(human_plan(made, estimate))


def test_a_future_moment_is_refused_with_the_newest_that_is_covered() -> None:
    with pytest.raises(TargetNotCoveredError, match=f"everything up to {timestamp(at(100))}"):
        plan(moment(101))


def test_a_position_beyond_the_archive_is_refused() -> None:
    with pytest.raises(TargetNotCoveredError, match=f"it ends at {format_lsn(place(31))}"):
        plan(position(31.5))


def test_a_target_before_the_first_backup_is_refused_with_the_earliest_there_is() -> None:
    with pytest.raises(TargetNotCoveredError, match=f"from {timestamp(at(11))} on"):
        plan(moment(10.5))
    with pytest.raises(TargetNotCoveredError, match=f"from {FIRST.manifest.stop_lsn} on"):
        plan(position(1))


def test_a_gap_on_the_way_is_refused_by_the_name_of_the_first_missing_segment() -> None:
    holed = archive(*range(1, 25), *range(26, 31))
    for target in (moment(95), position(27), RestoreTarget("latest")):
        with pytest.raises(WalGapError, match=name(25)):
            plan(target, holed)
    assert plan(position(25), holed).log.last == name(24), "up to the gap all is well"


def test_a_segment_that_the_bucket_has_lost_is_a_gap_even_when_it_was_the_last() -> None:
    lost = timeline(1, range(1, 30), {31: 100}, missing=[30])
    with pytest.raises(WalGapError, match=name(30)):
        plan(RestoreTarget("latest"), replace(FACTS, logs={CLUSTER: log(lost)}))


def test_a_gap_before_the_backup_does_not_matter() -> None:
    assert plan(position(27), archive(*range(1, 10), *range(22, 31))).backup_id == SECOND.id


def test_a_backup_whose_proof_failed_is_passed_over_unless_it_is_named() -> None:
    doubtful = replace(FACTS, results={FIRST.id: "proven", SECOND.id: "failed"})
    assert plan(moment(80), doubtful).backup_id == FIRST.id
    assert plan(moment(80), doubtful, backup_id=SECOND.id).backup_id == SECOND.id


def test_a_backup_that_does_not_exist_or_cannot_be_believed_is_refused() -> None:
    with pytest.raises(BackupMissingError, match="20200101T000000Z-0000"):
        plan(moment(80), backup_id="20200101T000000Z-0000")
    with pytest.raises(NotThisBackupError, match="altered"):
        plan(moment(80), replace(FACTS, unusable={"x": "it was altered"}), backup_id="x")
    with pytest.raises(BackupMissingError, match="no complete physical backup"):
        plan(moment(80), RestoreFacts("shop", ()))


class TestTimelines:
    """The source was replaced by a promoted standby in the middle of segment 25."""

    OLD = timeline(1, range(1, 26), {22: 70, 25.2: 75})
    NEW = timeline(2, range(25, 31), {26: 80, 31: 100})
    FACTS = replace(FACTS, logs={CLUSTER: log(OLD, NEW, histories={2: [(1, 25.5)]})})

    def test_the_way_follows_the_switch(self) -> None:
        made = plan(moment(95), self.FACTS)
        assert (made.backup_id, made.timeline) == (SECOND.id, 2)
        assert (made.log.first, made.log.last) == (name(20), name(30, 2))
        assert made.log.archived == 31 - 22
        assert made.history is not None

    def test_the_old_timeline_can_be_asked_for_up_to_its_own_end(self) -> None:
        made = plan(RestoreTarget("latest"), self.FACTS, timeline=1)
        assert (made.timeline, made.target.value) == (1, format_lsn(place(26)))

    def test_a_moment_of_the_old_timeline_lies_on_the_way_to_the_new_one(self) -> None:
        assert plan(moment(65), self.FACTS).log.last == name(21)

    def test_a_backup_taken_after_the_fork_leads_nowhere_on_the_new_timeline(self) -> None:
        late = backup(3, 27, 85)
        facts = replace(self.FACTS, backups=(FIRST, SECOND, late))
        assert plan(moment(95), facts).backup_id == SECOND.id
        with pytest.raises(TimelineError, match="had left"):
            plan(moment(95), facts, backup_id=late.id)

    def test_a_missing_history_is_refused(self) -> None:
        facts = replace(self.FACTS, logs={CLUSTER: log(self.OLD, self.NEW)})
        with pytest.raises(HistoryMissingError, match="timeline 2"):
            plan(moment(95), facts)
        assert plan(position(24), facts, timeline=1).timeline == 1

    def test_a_timeline_of_which_only_the_history_is_there_is_not_followed_yet(self) -> None:
        begun = log(self.OLD, timeline(2, [], {}), histories={2: [(1, 25.5)]})
        made = plan(RestoreTarget("latest"), replace(self.FACTS, logs={CLUSTER: begun}))
        assert (made.timeline, made.target.value) == (1, format_lsn(place(26)))

    def test_an_unknown_timeline_is_refused(self) -> None:
        with pytest.raises(TimelineError, match="timeline 7"):
            plan(moment(95), self.FACTS, timeline=7)


class TestChains:
    """Incremental backups come with everything below them."""

    CHILD = backup(3, 24, 70, parent=SECOND)
    GRANDCHILD = backup(4, 27, 80, parent=CHILD)
    FACTS = replace(FACTS, backups=(FIRST, SECOND, CHILD, GRANDCHILD))

    def ids(self, made: RestorePlan) -> list[str]:
        return [item.id for item in made.backups]

    def test_the_full_backup_comes_first(self) -> None:
        assert self.ids(plan(moment(85), self.FACTS)) == [SECOND.id, self.CHILD.id, self.GRANDCHILD.id]

    def test_a_broken_chain_is_passed_over_and_refused_when_it_is_named(self) -> None:
        broken = replace(self.FACTS, backups=(FIRST, SECOND, self.GRANDCHILD))
        assert self.ids(plan(moment(85), broken)) == [SECOND.id]
        with pytest.raises(BackupMissingError, match=self.CHILD.id):
            plan(RestoreTarget("backup"), broken, backup_id=self.GRANDCHILD.id)

    def test_another_backup_under_the_parents_name_is_refused(self) -> None:
        other = StoredManifest(self.CHILD.manifest, "f" * 64)
        swapped = replace(self.FACTS, backups=(FIRST, SECOND, other, self.GRANDCHILD))
        with pytest.raises(NotThisBackupError, match=self.CHILD.id):
            plan(RestoreTarget("backup"), swapped, backup_id=self.GRANDCHILD.id)


class TestThePlanItself:
    def test_it_survives_json_with_its_hash(self) -> None:
        made = plan(moment(85))
        again = parse_plan(made.document())
        assert again == made
        again.require(made.sha256)
        with pytest.raises(PlanChangedError):
            replace(again, directory="/elsewhere").require(made.sha256)

    def test_its_hash_stays_while_the_archive_grows_and_proofs_come_in(self) -> None:
        later = replace(
            FACTS,
            logs={CLUSTER: log(timeline(1, range(1, 41), {10: 30, 22: 70, 30.5: 90, 41: 120}))},
            results={SECOND.id: "proven"},
            rates=Rates(1e6, 2.0, 1),
        )
        assert plan(moment(85), later).sha256 == plan(moment(85)).sha256

    def test_it_is_executed_only_while_everything_is_as_it_was(self) -> None:
        made = plan(moment(85))
        manifests, segments = recheck(made, FACTS)
        assert [item.backup_id for item in manifests] == [SECOND.id]
        assert [item.name for item in segments] == [name(number) for number in range(22, 31)]
        with pytest.raises(WalGapError, match=name(28)):
            recheck(made, archive(*range(1, 28), 29, 30))
        with pytest.raises(PlanChangedError, match="is missing"):
            recheck(made, replace(FACTS, backups=(FIRST,)))
        with pytest.raises(PlanChangedError, match="not the one"):
            recheck(made, replace(FACTS, backups=(FIRST, StoredManifest(SECOND.manifest, "a" * 64))))

    def test_the_time_it_takes_is_what_proofs_have_measured(self) -> None:
        request = RestoreRequest("shop", RestoreTarget("backup"), Path("/restored"), SECOND.id)
        _, estimate = make_plan(request, replace(FACTS, rates=Rates(100.0, 5.0, 3)))
        assert estimate.seconds == pytest.approx(2000 / 100 + 5)
        assert estimate.basis == "measured by 3 proofs"

    def test_room_is_asked_for_as_large_as_the_cluster_will_have_become(self) -> None:
        grown = replace(FACTS, backups=(FIRST, backup(2, 20, 60, size=10**9)))
        assert plan(moment(30), grown).needed_bytes - plan(moment(30)).needed_bytes > 10**9


class TestTheWindow:
    """Any moment of it can be restored: from the oldest unbroken backup to the newest tie between clock and log."""

    def test_it_goes_from_the_first_backup_to_the_last_clock(self) -> None:
        assert archived_window(SECOND.id, FACTS) == (at(11), at(100))

    def test_a_backup_that_was_just_taken_does_not_hide_it(self) -> None:
        newest = backup(3, 40, 110)
        facts = replace(FACTS, backups=(FIRST, SECOND, newest))
        assert archived_window(newest.id, facts) == (at(11), at(100))

    def test_it_begins_after_a_gap(self) -> None:
        assert archived_window(SECOND.id, archive(*range(1, 10), *range(22, 31))) == (at(61), at(100))

    def test_without_an_archive_there_is_none(self) -> None:
        assert archived_window(SECOND.id, replace(FACTS, logs={})) is None
        assert archived_window("20200101T000000Z-0000", FACTS) is None


@pytest.mark.parametrize("text", ["2026-11-24 10:00", "2026-11-24T10:00:00"])
def test_a_moment_without_a_time_zone_is_refused(text: str) -> None:
    with pytest.raises(TargetError, match="names no time zone"):
        RestoreTarget.at_time(text)


def test_a_moment_is_the_same_in_every_time_zone() -> None:
    assert RestoreTarget.at_time("2026-11-24T23:30:00+01:30") == RestoreTarget.at_time("2026-11-24T22:00:00Z")
