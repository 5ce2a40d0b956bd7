"""Objects that no manifest names: the audit log says who stored them, as what, and with which hash.

The entries are read from the control database, into which they were taken from the bucket and checked against
the signed root.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from sqlalchemy import RowMapping, text

from strongroom.audit import EventType
from strongroom.backup.indexing.report import Problem
from strongroom.backup.indexing.scan import Scan
from strongroom.backup.indexing.sources import IndexSource
from strongroom.catalog import ObjectRecord
from strongroom.clock import parse_timestamp

_STORED = """
    WITH stored AS (
        SELECT seq, convert_from(entry, 'UTF8')::jsonb AS event FROM audit_entry
        WHERE position(convert_to(:type, 'UTF8') IN entry) > 0
    )
    SELECT DISTINCT ON (bucket.key) bucket.key, bucket.size_bytes, stored.event
    FROM stored JOIN bucket_now AS bucket ON bucket.key = stored.event->>'subject'
    WHERE NOT bucket.claimed AND stored.event->'data'->>'outcome' = 'success'
    ORDER BY bucket.key, stored.seq DESC"""
_KNOWN = """
    UPDATE bucket_now SET claimed = true
    FROM vault_object AS known WHERE known.key = bucket_now.key AND known.size_bytes = bucket_now.size_bytes"""
_OPTIONS = {"stream_results": True, "yield_per": 500}


class LoggedObjects(IndexSource):
    """What the log's entries `vault:object:store` say of objects that nothing else accounts for."""

    def read(self, scan: Scan) -> None:
        quoted = f'"{EventType.VAULT_OBJECT_STORE}"'
        rows = scan.connection.execute(text(_STORED), {"type": quoted}, execution_options=_OPTIONS)
        for row in rows.mappings():
            self._index(scan, row)
        scan.connection.execute(text(_KNOWN))

    def _index(self, scan: Scan, row: RowMapping) -> None:
        record = stored = _record(row["event"])
        form = stored and scan.newest_form(stored.key, stored.size_bytes, stored.sha256)
        if stored and form:
            record = replace(stored, size_bytes=form.size_bytes, sha256=form.sha256, epoch_ids=form.epoch_ids)
        if record is None:
            detail = "An earlier version wrote its log entry, which does not say what kind of object it is."
            scan.findings.add(Problem.UNKNOWN, row["key"], detail)
        elif stored and row["size_bytes"] not in (record.size_bytes, stored.size_bytes):
            detail = f"It has {row['size_bytes']} bytes; the log says {record.size_bytes}."
            scan.findings.add(Problem.DIFFERENT, row["key"], detail)
        else:
            scan.index_object(record)
        scan.inventory.claim([row["key"]])


def _record(event: dict[str, Any]) -> ObjectRecord | None:
    data, details = event["data"], event["data"].get("details", {})
    if "kind" not in details:
        return None
    return ObjectRecord(
        key=event["subject"],
        kind=details["kind"],
        database=data.get("database"),
        size_bytes=data["counts"]["stored_bytes"],
        sha256=data["hashes"]["ciphertext_sha256"],
        plaintext_bytes=data["counts"]["plaintext_bytes"],
        compressed=event["subject"].endswith(".zst.age"),
        epoch_ids=tuple(details["epoch_ids"]),
        version_id=None,
        stored_at=parse_timestamp(event["time"]),
    )
