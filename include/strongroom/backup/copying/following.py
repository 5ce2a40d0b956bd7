"""Which receipts may have come since a copy was last brought up to the log, without listing the whole archive.

A copy's `coverage.json` is written after everything that the source had by then. So what may be missing are receipts
of segments at or after its position, and these lie side by side: a receipt's key begins with its first segment's name,
and all segments of four gibibytes of log share the first sixteen digits.
"""

from __future__ import annotations

from dataclasses import dataclass

from strongroom.backup.continuous.layout import coverage_key, wal_prefix
from strongroom.backup.continuous.receipts import Coverage, read_receipt
from strongroom.errors import IntegrityError
from strongroom.postgres import parse_lsn
from strongroom.signing import VerifierKey
from strongroom.storage import ObjectNotFoundError, ObjectStore

_MAX_PREFIXES = 16
"""More than this, and listing everything is no dearer."""


@dataclass(frozen=True)
class ShippedLog:
    """Which log was shipped."""

    system_identifier: str
    timeline: int


def prefixes_since(
    source: ObjectStore, target: ObjectStore, trusted: VerifierKey, database: str, log: ShippedLog
) -> list[str] | None:
    """Below which prefixes the receipts lie that the copy may lack; None when the whole archive must be compared.

    Raises:
        TransientError: one of the stores does not answer.
    """
    key = coverage_key(database, log.system_identifier, log.timeline)
    try:
        held, now = (
            parse_lsn(read_receipt(Coverage, store.get_bytes(key), key, trusted).covered.position) >> 32
            for store in (target, source)
        )
    except (IntegrityError, ObjectNotFoundError):
        return None
    if not held <= now < held + _MAX_PREFIXES:
        return None
    folder = f"{wal_prefix(database, log.system_identifier, log.timeline)}receipts/"
    return [f"{folder}{log.timeline:08X}{number:08X}" for number in range(held, now + 2)]
