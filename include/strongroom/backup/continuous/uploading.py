"""Sealing fetched segments into the archive, several at once, and writing the receipts that make them count."""

from __future__ import annotations

import io
import secrets
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from threading import Lock
from typing import BinaryIO

from strongroom import __version__
from strongroom.access import Actor
from strongroom.backup.continuous.history import TimelineHistory, parse_history
from strongroom.backup.continuous.layout import OBJECT_KIND, history_key, segment_key
from strongroom.backup.continuous.plan import WalPlan
from strongroom.backup.continuous.receipts import (
    ArchivedHistory,
    ArchivedSegment,
    Coverage,
    Covered,
    HistoryReceipt,
    SegmentsReceipt,
)
from strongroom.backup.continuous.recording import WalRecorder
from strongroom.backup.continuous.source import Moment, WalSource
from strongroom.postgres import format_lsn
from strongroom.signing import SignerKey
from strongroom.storage import (
    Condition,
    ObjectExistsError,
    ObjectLockedError,
    ObjectStore,
    Retention,
)
from strongroom.vault import StoredObject, Vault

_SEALERS = 3
_SOFTWARE = {"strongroom": __version__}


@dataclass
class Uploader:
    """Writes one run's objects below `wal/<database>/<cluster>/`.

    Args:
        store: the bucket.
        vault: seals.
        signer: signs receipts.
        actor: who ships.
        plan: what the policy says.
        source: the cluster.
        recorder: records what is removed.
        fencing_number: of the lease.
    """

    store: ObjectStore
    vault: Vault
    signer: SignerKey
    actor: Actor
    plan: WalPlan
    source: WalSource
    recorder: WalRecorder
    fencing_number: int
    leftovers_removed: int = 0
    _lock: Lock = field(default_factory=Lock)

    def upload(self, paths: Sequence[Path]) -> tuple[ArchivedSegment, ...]:
        """Seal and store segments that no receipt names yet."""
        with ThreadPoolExecutor(_SEALERS, thread_name_prefix="wal") as sealers:
            return tuple(sealers.map(self._upload, paths))

    def receipt(
        self,
        timeline: int,
        segments: tuple[ArchivedSegment, ...],
        covered: Moment | None,
        locked_from: datetime,
    ) -> SegmentsReceipt:
        """Write the receipt that makes segments count; then lock them, where policy and bucket can.

        Args:
            timeline: of the segments.
            segments: without a hole.
            covered: a moment whose position they reach.
            locked_from: the source's clock, from which a lock is counted: this host's may be wrong.
        """
        receipt = SegmentsReceipt(
            database=self.plan.database,
            system_identifier=self.source.system_identifier,
            timeline=timeline,
            wal_segment_bytes=self.source.segment_bytes,
            server_version=self.source.version,
            segments=segments,
            covered=_covered(covered) if covered else None,
            fencing_number=self.fencing_number,
            policy_sha256=self.plan.policy_sha256,
            software=_SOFTWARE,
        )
        keys = [item.key for item in segments]
        self._publish(receipt.key, receipt.sign(self.signer), keys, locked_from)
        return receipt

    def cover(self, moment: Moment) -> None:
        """Say up to when the source's timeline is complete."""
        coverage = Coverage(
            database=self.plan.database,
            system_identifier=self.source.system_identifier,
            timeline=self.source.timeline,
            covered=_covered(moment),
            transactions=moment.transactions,
            fencing_number=self.fencing_number,
        )
        self.store.put_bytes(coverage.key, coverage.sign(self.signer), condition=Condition.OVERWRITE)

    def history(self, history: TimelineHistory, file: bytes, locked_from: datetime) -> None:
        """Seal and store a timeline's history file, and its receipt."""
        parse_history(history.timeline, file)

        def key(again: str = "") -> str:
            return history_key(self.plan.database, self.source.system_identifier, history.timeline, again)

        stored = self._store(key, lambda: io.BytesIO(file), compress=False)
        item = ArchivedHistory(
            stored.key, stored.size_bytes, stored.sha256, stored.plaintext_bytes, stored.epoch_ids
        )
        receipt = HistoryReceipt.of(
            history,
            database=self.plan.database,
            system_identifier=self.source.system_identifier,
            file=item,
            policy_sha256=self.plan.policy_sha256,
            software=_SOFTWARE,
        )
        self._publish(receipt.key, receipt.sign(self.signer), [stored.key], locked_from)

    def _publish(self, key: str, data: bytes, named: Sequence[str], locked_from: datetime) -> None:
        retention = self._retention(locked_from)
        self.store.put_bytes(key, data, retention=retention)
        if retention is not None:
            for item in named:
                self.store.extend_retention(item, retention)

    def _upload(self, path: Path) -> ArchivedSegment:
        def key(again: str = "") -> str:
            return segment_key(self.plan.database, self.source.system_identifier, path.name, again)

        stored = self._store(key, lambda: path.open("rb"), compress=True)
        return ArchivedSegment(
            path.name, stored.key, stored.size_bytes, stored.sha256, stored.plaintext_bytes, stored.epoch_ids
        )

    def _store(
        self, key: Callable[..., str], content: Callable[[], BinaryIO], *, compress: bool
    ) -> StoredObject:
        """Store something; what a killed run left under its key is replaced, or kept beside when locked."""
        try:
            return self._seal(key(), content, compress)
        except ObjectExistsError:
            pass
        try:
            self._remove_leftover(key())
        except ObjectLockedError:
            return self._seal(key(secrets.token_hex(2)), content, compress)
        return self._seal(key(), content, compress)

    def _seal(self, key: str, content: Callable[[], BinaryIO], compress: bool) -> StoredObject:
        with content() as file:
            return self.vault.store(
                self.actor,
                key,
                file,
                kind=OBJECT_KIND,
                database=self.plan.database,
                recipients=self.plan.recipients,
                compress=compress,
                correlation_id=self.recorder.log.correlation_id,
            )

    def _remove_leftover(self, key: str) -> None:
        """Delete what no receipt names: nobody knows what it holds, since this host cannot open it.

        Raises:
            ObjectLockedError: the bucket keeps it for now.
        """
        self.recorder.removing_leftover(key)
        try:
            for item in list(self.store.list_versions(key)):
                if item.key == key:
                    self.store.delete_version(key, item.version_id)
        except ObjectLockedError:
            self.recorder.removed_leftover(key, locked=True)
            raise
        self.recorder.removed_leftover(key, locked=False)
        with self._lock:
            self.leftovers_removed += 1

    def _retention(self, now: datetime) -> Retention | None:
        if self.plan.lock_mode is None or not self.store.capabilities().object_lock:
            return None
        until = now + timedelta(days=self.plan.lock_days)
        return Retention(self.plan.lock_mode, until.replace(microsecond=0))


def ancestors(history: TimelineHistory, file: bytes) -> list[tuple[TimelineHistory, bytes]]:
    """The histories of a timeline and of its ancestors: each one's file is the beginning of its successor's."""
    lines = [line for line in file.splitlines(keepends=True) if line.split(b"#", 1)[0].strip()]
    found = []
    for count, timeline in enumerate(history.timelines):
        if timeline > 1:
            past = TimelineHistory(timeline, history.switches[:count])
            found.append((past, file if timeline == history.timeline else b"".join(lines[:count])))
    return found


def _covered(moment: Moment) -> Covered:
    return Covered(moment.clock, format_lsn(moment.position))
