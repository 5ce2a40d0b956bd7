"""The log as things with a lifetime: a run of segments under one receipt, and each timeline's own documents.

A folder in which one receipt cannot be read is left alone as far as no other receipt speaks for it: what a later format
names would look like debris.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from datetime import datetime

from strongroom.backup.continuous.layout import (
    coverage_key,
    history_receipt_key,
    receipt_names,
    wal_prefix,
)
from strongroom.backup.continuous.receipts import Coverage, HistoryReceipt, SegmentsReceipt, read_receipt
from strongroom.backup.continuous.segments import start_of
from strongroom.backup.lifetimes.place import Place
from strongroom.clock import Clock
from strongroom.errors import IntegrityError
from strongroom.lifetimes import Item, ItemObject, Kind, LifetimeSource, LogSpan, live_lease
from strongroom.storage import ObjectInfo, ObjectStore

_FOLDER = re.compile(r"([0-9]{1,20})/([0-9A-F]{8})")
_WRITING = "log is being shipped, and this may be part of it"
Folder = Mapping[str, ObjectInfo]


class WalLifetimes(LifetimeSource):
    """The log of one database in one store.

    Args:
        place: where.
        clock: the time, for leases.
        leases: the store that the lease of a running shipment lies in; None where nothing ships.
    """

    def __init__(self, place: Place, clock: Clock, *, leases: ObjectStore | None) -> None:
        self._place, self._clock, self._leases = place, clock, leases
        self._moments: list[datetime] = []

    def items(self) -> Iterator[Item]:
        database, prefix = self._place.database, wal_prefix(self._place.database)
        running = self._leases is not None and bool(live_lease(self._leases, self._clock, database, "wal"))
        folders: dict[str, dict[str, ObjectInfo]] = defaultdict(dict)
        for info in self._place.store.list(prefix):
            name = "/".join(info.key.removeprefix(prefix).split("/")[:2])
            folders[name][info.key] = info
        for name, folder in folders.items():
            match = _FOLDER.fullmatch(name)
            if match is None:
                yield self._unknown(f"wal/{name}", folder, "no log has such a name")
            else:
                yield from self._timeline(match[1], int(match[2], 16), folder, running)

    def signed_moments(self) -> Iterator[datetime]:
        return iter(self._moments)

    def _timeline(self, cluster: str, timeline: int, folder: Folder, running: bool) -> Iterator[Item]:
        prefix = wal_prefix(self._place.database, cluster, timeline)
        keys = [key for key in folder if receipt_names(key, prefix)]
        read = self._place.documents(keys, self._receipt)
        left = dict(folder)
        for key, receipt in read.items():
            if isinstance(receipt, SegmentsReceipt):
                item = self._segments(receipt, folder, key)
                for one in item.objects:
                    left.pop(one.key, None)
                yield item
        own, problem = self._documents(cluster, timeline, folder)
        for one in own:
            left.pop(one.key, None)
        if own:
            span = LogSpan(cluster, timeline, 0, 0)
            created = max(folder[one.key].modified_at for one in own)
            name = f"timeline/{cluster}/{timeline:08X}"
            yield Item(Kind.TIMELINE, name, self._place.database, created, own, log=span)
        bad = [value for value in read.values() if isinstance(value, IntegrityError)]
        if left:
            yield self._rest(f"{cluster}/{timeline:08X}", left, bad[0] if bad else problem, running)

    def _segments(self, receipt: SegmentsReceipt, folder: Folder, key: str) -> Item:
        if receipt.covered is not None:
            self._moments.append(receipt.covered.clock)
        first, last = receipt.segments[0].name, receipt.segments[-1].name
        present = [one.key for one in receipt.segments if one.key in folder]
        size = receipt.wal_segment_bytes
        missing = len(receipt.segments) - len(present)
        return Item(
            kind=Kind.WAL,
            id=f"wal/{receipt.system_identifier}/{receipt.timeline:08X}/{first}-{last}",
            database=self._place.database,
            created_at=receipt.covered.clock if receipt.covered else folder[key].modified_at,
            objects=tuple(ItemObject(one, folder[one].size_bytes) for one in (key, *present)),
            log=LogSpan(
                receipt.system_identifier,
                receipt.timeline,
                start_of(first, size),
                start_of(last, size) + size,
            ),
            damage=f"{missing} of its segments are missing" if missing else None,
        )

    def _documents(
        self, cluster: str, timeline: int, folder: Folder
    ) -> tuple[tuple[ItemObject, ...], IntegrityError | None]:
        """The timeline's history with its receipt, and what says up to when it is complete."""
        database, trusted = self._place.database, self._place.trusted
        names: list[str] = []
        problem = None
        history, coverage = (
            history_receipt_key(database, cluster, timeline),
            coverage_key(database, cluster, timeline),
        )
        wanted = [key for key in (history, coverage) if key in folder]
        kinds = {history: HistoryReceipt, coverage: Coverage}
        found = self._place.documents(wanted, lambda data, key: read_receipt(kinds[key], data, key, trusted))
        for key, document in found.items():
            if isinstance(document, IntegrityError):
                problem = document
                continue
            names.append(key)
            if isinstance(document, HistoryReceipt) and document.file.key in folder:
                names.append(document.file.key)
            if isinstance(document, Coverage):
                self._moments.append(document.covered.clock)
        return tuple(ItemObject(key, folder[key].size_bytes) for key in names), problem

    def _rest(self, name: str, left: Folder, problem: IntegrityError | None, running: bool) -> Item:
        if problem is not None:
            return self._unknown(
                f"wal/{name}", left, f"a document beside it cannot be read: {problem.message}"
            )
        return Item(
            Kind.DEBRIS,
            f"debris/wal/{name}",
            self._place.database,
            max(info.modified_at for info in left.values()),
            _objects(left),
            in_use=_WRITING if running else None,
            detail="no receipt names it",
        )

    def _unknown(self, name: str, folder: Folder, detail: str) -> Item:
        newest = max(info.modified_at for info in folder.values())
        return Item(
            Kind.UNKNOWN, f"unknown/{name}", self._place.database, newest, _objects(folder), detail=detail
        )

    def _receipt(self, data: bytes, key: str) -> SegmentsReceipt:
        return read_receipt(SegmentsReceipt, data, key, self._place.trusted)


def _objects(folder: Folder) -> tuple[ItemObject, ...]:
    return tuple(ItemObject(key, info.size_bytes) for key, info in folder.items())
