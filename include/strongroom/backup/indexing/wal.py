"""Continuous WAL: a segment counts, and is indexed, only when a signed receipt names it."""

from __future__ import annotations

from strongroom.backup.continuous import HistoryReceipt, SegmentsReceipt
from strongroom.backup.continuous.receipts import read_receipt
from strongroom.backup.indexing.scan import Scan
from strongroom.backup.indexing.sources import IndexSource, KeyRecords, index_objects


class WalReceipts(IndexSource):
    """The receipts of segments and of timeline histories."""

    def __init__(self, keys: KeyRecords) -> None:
        self._keys = keys

    def read(self, scan: Scan) -> None:
        for item in scan.inventory.objects("wal/%/receipts/%.json"):
            run = scan.document(
                item.key, lambda data, key: read_receipt(SegmentsReceipt, data, key, scan.trusted)
            )
            if run is not None:
                segments = [segment.stored() for segment in run[0].segments]
                index_objects(scan, segments, run[0].database, item, self._keys)
        for item in scan.inventory.objects("wal/%.history.json"):
            past = scan.document(
                item.key, lambda data, key: read_receipt(HistoryReceipt, data, key, scan.trusted)
            )
            if past is not None:
                index_objects(scan, [past[0].file.stored()], past[0].database, item, self._keys)
