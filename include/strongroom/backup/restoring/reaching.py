"""Whether recovery stopped where the plan says: told from what the server wrote down, not from its having started.

    name   the very restore point; a backup's own one at its very position
    lsn    before the first record that does not begin before the position
    time   before the first commit that is later than the moment

Where the log holds no record or commit beyond the target, PostgreSQL cannot stop at it: it ends with "recovery ended
before configured recovery target was reached". When every segment of the plan was replayed by then, the last record
of all is the target, and recovery is repeated to that one.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from strongroom.backup.restoring.configuration import RecoveryTarget
from strongroom.backup.restoring.errors import RecoveryError, TargetMissedError
from strongroom.backup.restoring.recovery import RecoveryEnd
from strongroom.clock import parse_timestamp
from strongroom.postgres import parse_lsn


def last_record_target(target: RecoveryTarget, missed: TargetMissedError) -> RecoveryTarget:
    """The target that is equal to one beyond the last record: that record itself, included.

    Raises:
        TargetMissedError: the target is a name, which the log does not hold; or the server does not say where
            the last record is.
    """
    if target.kind == "name" or missed.last_record is None:
        raise missed
    if target.kind == "lsn" and parse_lsn(missed.last_record) >= parse_lsn(target.value):
        raise missed
    return replace(target, kind="lsn", value=missed.last_record, inclusive=True)


def require_reached(target: RecoveryTarget, end: RecoveryEnd, own_point_lsn: str | None = None) -> None:
    """Let a recovery pass that stopped at its target.

    Args:
        target: what the server was told.
        end: where it stopped.
        own_point_lsn: where a backup's own restore point must be.

    Raises:
        RecoveryError: it stopped elsewhere.
    """
    if end.timeline != int(target.timeline):
        raise _elsewhere(target, end, f"on timeline {end.timeline}")
    checks = {"name": _at_name, "lsn": _at_position, "time": _at_moment}
    if not checks[target.kind](target, end):
        raise _elsewhere(target, end, end.reason)
    if own_point_lsn is not None and parse_lsn(end.lsn) != parse_lsn(own_point_lsn):
        raise _elsewhere(target, end, f"at {end.lsn} instead of {own_point_lsn}")


def _at_name(target: RecoveryTarget, end: RecoveryEnd) -> bool:
    return end.restore_point == target.value


def _at_position(target: RecoveryTarget, end: RecoveryEnd) -> bool:
    when, _, found = end.reason.partition(" LSN ")
    if not found or when != ("after" if target.inclusive else "before"):
        return False
    wanted, position = parse_lsn(target.value), parse_lsn(found)
    return position == wanted if target.inclusive else position >= wanted


def _at_moment(target: RecoveryTarget, end: RecoveryEnd) -> bool:
    when, _, text = end.reason.partition(" ")
    moment = end.time or _moment(text)
    return when == "before" and moment is not None and moment > parse_timestamp(target.value)


def _moment(text: str) -> datetime | None:
    try:
        return parse_timestamp(text)
    except ValueError:
        return None


def _elsewhere(target: RecoveryTarget, end: RecoveryEnd, where: str) -> RecoveryError:
    return RecoveryError(
        f"Recovery was to stop at {target.kind} {target.value} on timeline {target.timeline}, and stopped {where}"
        f" (at {end.lsn}).",
        hint="Do not use what is there. The backup and the log do not belong together; choose another backup.",
    )
