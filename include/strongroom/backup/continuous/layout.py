"""Where continuous WAL lies in the bucket.

    wal/<database>/<system identifier>/<timeline, 8 hex>/
        <segment>.zst.age                        a sealed segment
        <timeline>.history.age                   the sealed timeline history, from the second timeline on
        <timeline>.history.json                  its signed receipt, which says what stands in it
        receipts/<first segment>-<last>.json     the signed receipt of a run of segments
        coverage.json                            signed: up to when everything is here

A segment counts only when a receipt names it with its hash. One that a killed run left behind counts for nothing;
where a lock keeps it from being deleted, the segment is stored again as `<segment>.<4 hex>.zst.age` (a history
likewise).
"""

from __future__ import annotations

import re

from strongroom.backup.continuous.history import history_name

OBJECT_KIND = "wal"
"""The kind of every sealed object of continuous WAL, which its header is bound to."""

_RECEIPT = re.compile(r"receipts/([0-9A-F]{24})-([0-9A-F]{24})\.json")


def wal_prefix(database: str, system_identifier: str = "", timeline: int | None = None) -> str:
    """Below which key a timeline's objects lie; a cluster's; all of a database's."""
    prefix = f"wal/{database}/"
    if system_identifier:
        prefix += f"{system_identifier}/"
    return prefix if timeline is None else f"{prefix}{timeline:08X}/"


def segment_key(database: str, system_identifier: str, name: str, again: str = "") -> str:
    """The key of a sealed segment; `again` tells one that had to be stored twice from the first."""
    suffix = f".{again}" if again else ""
    return f"{wal_prefix(database, system_identifier, int(name[:8], 16))}{name}{suffix}.zst.age"


def is_segment_key(key: str, database: str, system_identifier: str, name: str) -> bool:
    """Whether a segment can lie under that key."""
    prefix = wal_prefix(database, system_identifier, int(name[:8], 16)) + name
    return key.startswith(prefix) and bool(re.fullmatch(r"(\.[0-9a-f]{4})?\.zst\.age", key[len(prefix) :]))


def history_key(database: str, system_identifier: str, timeline: int, again: str = "") -> str:
    """The key of a sealed timeline history; `again` as for segments."""
    suffix = f".{again}" if again else ""
    return f"{wal_prefix(database, system_identifier, timeline)}{history_name(timeline)}{suffix}.age"


def is_history_key(key: str, database: str, system_identifier: str, timeline: int) -> bool:
    """Whether a timeline's history can lie under that key."""
    prefix = wal_prefix(database, system_identifier, timeline) + history_name(timeline)
    return key.startswith(prefix) and bool(re.fullmatch(r"(\.[0-9a-f]{4})?\.age", key[len(prefix) :]))


def history_receipt_key(database: str, system_identifier: str, timeline: int) -> str:
    """The key of a history's receipt."""
    return f"{wal_prefix(database, system_identifier, timeline)}{history_name(timeline)}.json"


def receipt_key(database: str, system_identifier: str, first: str, last: str) -> str:
    """The key of the receipt of a run of segments."""
    return f"{wal_prefix(database, system_identifier, int(first[:8], 16))}receipts/{first}-{last}.json"


def coverage_key(database: str, system_identifier: str, timeline: int) -> str:
    """The key of what says up to when a timeline is complete."""
    return f"{wal_prefix(database, system_identifier, timeline)}coverage.json"


def receipt_names(key: str, prefix: str) -> tuple[str, str] | None:
    """The first and last segment in a receipt's key; None when the key is no receipt's."""
    match = _RECEIPT.fullmatch(key[len(prefix) :]) if key.startswith(prefix) else None
    return (match[1], match[2]) if match else None
