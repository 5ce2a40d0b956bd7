"""Whether recovery stopped at its target is told from the server's own words."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from strongroom.backup.restoring.configuration import RecoveryTarget
from strongroom.backup.restoring.errors import RecoveryError, TargetMissedError
from strongroom.backup.restoring.reaching import last_record_target, require_reached
from strongroom.backup.restoring.recovery import RecoveryEnd

MOMENT = datetime(2026, 11, 24, 22, 10, 5, tzinfo=UTC)
LATER = MOMENT.replace(second=6)


def lsn(value: str = "0/5000000", *, inclusive: bool = False) -> RecoveryTarget:
    return RecoveryTarget("lsn", value, inclusive=inclusive, timeline="1")


def time() -> RecoveryTarget:
    return RecoveryTarget("time", "2026-11-24T22:10:05Z", timeline="1")


def end(
    reason: str, *, at: str = "0/4FFFFF0", moment: datetime | None = None, timeline: int = 1
) -> RecoveryEnd:
    return RecoveryEnd(reason, at, moment, timeline)


@pytest.mark.parametrize(
    ("target", "found"),
    [
        (lsn(), end("before LSN 0/5000000")),
        (lsn(), end("before LSN 0/5000028")),
        (lsn("0/4FFFFD0", inclusive=True), end("after LSN 0/4FFFFD0")),
        (time(), end("before 2026-11-24 22:10:06+00", moment=LATER)),
        (time(), end("before 2026-11-24 22:10:05.000001+00")),
        (RecoveryTarget("name", "x", timeline="1"), end('at restore point "x"')),
    ],
)
def test_what_is_the_target(target: RecoveryTarget, found: RecoveryEnd) -> None:
    require_reached(target, found)


@pytest.mark.parametrize(
    ("target", "found"),
    [
        (lsn(), end("before LSN 0/4000000")),
        (lsn(), end("after LSN 0/5000000")),
        (lsn("0/4FFFFD0", inclusive=True), end("after LSN 0/4FFFF00")),
        (lsn(), end("before LSN 0/5000000", timeline=2)),
        (lsn(), end("no recovery target specified")),
        (time(), end("before 2026-11-24 22:10:05+00", moment=MOMENT)),
        (time(), end("before LSN 0/5000000")),
        (time(), end("after 2026-11-24 22:10:06+00", moment=LATER)),
        (RecoveryTarget("name", "x", timeline="1"), end('at restore point "y"')),
    ],
)
def test_what_is_not(target: RecoveryTarget, found: RecoveryEnd) -> None:
    with pytest.raises(RecoveryError, match="Do not use what is there"):
        require_reached(target, found)


def test_a_backups_own_point_lies_at_its_very_position() -> None:
    target, found = RecoveryTarget("name", "x", timeline="1"), end('at restore point "x"', at="0/3000060")
    require_reached(target, found, "0/3000060")
    with pytest.raises(RecoveryError, match="instead of 0/3000068"):
        require_reached(target, found, "0/3000068")


def test_a_target_beyond_the_last_record_is_that_record() -> None:
    missed = TargetMissedError("missed", last_record="0/4FFFFD0")
    assert last_record_target(lsn(), missed) == lsn("0/4FFFFD0", inclusive=True)
    assert last_record_target(time(), missed).value == "0/4FFFFD0"


@pytest.mark.parametrize(
    ("target", "last"),
    [(RecoveryTarget("name", "x"), "0/4FFFFD0"), (lsn(), None), (lsn("0/4000000"), "0/4FFFFD0")],
)
def test_a_name_that_never_came_is_missed_for_good(target: RecoveryTarget, last: str | None) -> None:
    with pytest.raises(TargetMissedError):
        last_record_target(target, TargetMissedError("missed", last_record=last))
