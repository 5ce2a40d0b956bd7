"""The replication slot that keeps WAL on the source until it is in the archive.

Nothing streams through it: `pg_receivewal` would tell the server that what it has on its own disk may go. The slot
is moved by `pg_replication_slot_advance` when a receipt is in the bucket, and not before.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

from psycopg.errors import ConfigurationLimitExceeded

from strongroom.backup.continuous.errors import SlotInUseError, SlotUnusableError
from strongroom.backup.errors import SourceNotReadyError
from strongroom.postgres import Connection, DatabaseUnreachableError, format_lsn, parse_lsn, server_errors

_LONGEST_NAME = 63
_STATE = """
SELECT slot_type, active, restart_lsn::text, wal_status, safe_wal_size
  FROM pg_replication_slots WHERE slot_name = %s
"""
_CREATE = "SELECT pg_create_physical_replication_slot(%s, true)"
_DROP = "SELECT pg_drop_replication_slot(%s)"
_ADVANCE = "SELECT pg_replication_slot_advance(%s, %s::pg_lsn)"


@dataclass(frozen=True)
class SlotState:
    """A slot as the source describes it."""

    name: str
    physical: bool
    active: bool
    """Whether somebody streams from it."""
    restart: int | None
    """From where on the source keeps its WAL; None when it keeps none for it."""
    wal_status: str | None
    """`reserved`, `extended`, `unreserved` (about to be removed) or `lost`."""
    safe_bytes: int | None
    """How much more can be written before it is lost; None without `max_slot_wal_keep_size`."""

    @property
    def usable(self) -> bool:
        """Whether it keeps WAL."""
        return self.restart is not None and self.wal_status != "lost"


def slot_name(database: str) -> str:
    """The name of a database's slot where the policy gives none."""
    name = f"strongroom_wal_{database}"
    if len(name) <= _LONGEST_NAME:
        return name
    digest = hashlib.sha256(database.encode()).hexdigest()[:8]
    return f"{name[: _LONGEST_NAME - 9]}_{digest}"


def read_slot(control: Connection, name: str) -> SlotState | None:
    """The slot as it is; None when the source has none of that name."""
    with server_errors("The source"):
        row = control.execute(_STATE.encode(), (name,)).fetchone()
    if row is None:
        return None
    kind, active, restart, wal_status, safe = row
    return SlotState(
        name, kind == "physical", active, parse_lsn(restart) if restart else None, wal_status, safe
    )


def ensure_slot(control: Connection, name: str) -> tuple[SlotState, bool]:
    """The slot, made when there is none, made anew when the source has given up on it; and whether it was made.

    Raises:
        SlotUnusableError: that name belongs to a logical slot.
        SlotInUseError: somebody streams from it.
        SourceNotReadyError: the source has no slot to give.
    """
    found = read_slot(control, name)
    if found is not None:
        _check(found)
        if found.usable:
            return found, False
        _call(control, _DROP, name)
    _create(control, name)
    made = read_slot(control, name)
    if made is None or not made.usable:
        raise SlotInUseError(
            f"The replication slot {name} vanished as soon as it was made.",
            hint="Somebody else manages a slot of that name; choose another one with `backup.wal.slot`.",
        )
    return made, True


def advance_slot(control: Connection, slot: SlotState, position: int) -> None:
    """Let the source remove the WAL before a position; a slot that is there already stays."""
    if slot.restart is not None and slot.restart < position:
        _call(control, _ADVANCE, slot.name, format_lsn(position))


def drop_slot(control: Connection, name: str) -> bool:
    """Drop the slot; False when there is none.

    Raises:
        SlotUnusableError: that name belongs to a logical slot.
        SlotInUseError: somebody streams from it.
    """
    found = read_slot(control, name)
    if found is None:
        return False
    _check(found)
    _call(control, _DROP, name)
    return True


def _create(control: Connection, name: str) -> None:
    try:
        _call(control, _CREATE, name)
    except DatabaseUnreachableError as error:
        if isinstance(error.__cause__, ConfigurationLimitExceeded):
            raise SourceNotReadyError(
                "All replication slots of the source are in use.",
                hint="Drop one that nobody needs (pg_replication_slots), or raise max_replication_slots.",
            ) from error
        raise


def _check(slot: SlotState) -> None:
    if not slot.physical:
        raise SlotUnusableError(
            f"The source's replication slot {slot.name} is a logical one.",
            hint="Choose another name with `backup.wal.slot` in the policy.",
        )
    if slot.active:
        raise SlotInUseError(
            f"Another program streams from the replication slot {slot.name}.",
            hint="pg_stat_replication on the source shows who; the slot belongs to Strongroom alone.",
        )


def _call(control: Connection, statement: str, *values: Any) -> None:
    with server_errors("The source"):
        control.execute(statement.encode(), values)
