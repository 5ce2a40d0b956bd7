"""Sealing the log: sequence what is committed, sign the new head, publish it.

    1 lock or return    2 compare database and bucket    3 move batches (one transaction each)
    4 sign, keep the signature    5 publish bundles and tiles    6 replace the checkpoint    7 note it

A crash after any step leaves what the next `seal` continues from. Nothing is signed before it is committed.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import Engine

from strongroom.audit.checkpoint import Checkpoint
from strongroom.audit.database import LogDatabase, LogState, sealing_session
from strongroom.audit.history import check_history
from strongroom.audit.published import PublishedHead, PublishedLog
from strongroom.audit.publisher import publish_checkpoint, publish_tiles
from strongroom.audit.recovery import RecoveryReport, recover_log
from strongroom.audit.sequencer import sequence_batch
from strongroom.audit.tiles import TreeEdge
from strongroom.clock import Clock
from strongroom.signing import SignerKey
from strongroom.storage.interface import ObjectStore, Retention

_MAX_BATCHES = 256


@dataclass(frozen=True)
class SealReport:
    """What a seal did.

    Args:
        sealed: how many events it gave their place.
        size: the log's size afterwards.
        busy: another sealer was at work and takes care of what is committed; this one did nothing.
    """

    sealed: int
    size: int
    root: bytes
    busy: bool = False


class AuditLog:
    """The log of one installation: a control database, a bucket and a key.

    Args:
        engine: the control database.
        store: the bucket; the log stands under `log/`.
        signer: the log's key; its name is the log's origin.
        retention: for how long published objects are locked, in a store that has Object Lock.
    """

    def __init__(
        self,
        engine: Engine,
        store: ObjectStore,
        signer: SignerKey,
        clock: Clock,
        *,
        retention: timedelta | None = None,
    ) -> None:
        self._engine = engine
        self._store = store
        self._signer = signer
        self._clock = clock
        self._retention = retention
        self._published = PublishedLog(store, signer.verifier)

    def seal(self) -> SealReport:
        """Give every committed event its place, sign and publish. Returns at once when another sealer works.

        Raises:
            LogRolledBackError: the control database is behind what was published. Nothing was signed.
            LogForkedError: the control database and the bucket hold different histories. Nothing was signed.
            LogIntegrityError: something in either was changed. Nothing was signed over it.
            SealInterruptedError: another sealer was faster; try again.
        """
        with sealing_session(self._engine) as database:
            if database is None:
                return self._busy()
            state, head = database.state(), self._published.head()
            check_history(database, state, head.checkpoint, self._signer.verifier)
            sealed = self._sequence(database, state)
            root = self._sign_and_publish(database, head)
            return SealReport(sealed, root.size, root.root)

    def head(self) -> Checkpoint:
        """The published checkpoint; size 0 when nothing was published yet.

        Raises:
            CheckpointError: it is malformed or not signed by the log's key.
        """
        return self._published.head().checkpoint

    def recover(self) -> RecoveryReport:
        """Take published entries back that the control database lost when an old state of it was restored.

        Raises:
            LogForkedError: the published log does not extend what the control database has.
            LogIntegrityError: the published entries do not give the signed root. Nothing was changed.
            SealInterruptedError: a sealer is at work.
        """
        return recover_log(self._engine, self._store, self._signer.verifier, self._clock)

    def _busy(self) -> SealReport:
        with self._engine.connect() as connection:
            size, root = connection.exec_driver_sql("SELECT size, root FROM audit_state").one()
        return SealReport(0, size, bytes(root), busy=True)

    def _sequence(self, database: LogDatabase, state: LogState) -> int:
        edge = TreeEdge.load(state.size, database.tile)
        for _ in range(_MAX_BATCHES):
            if not sequence_batch(database, edge, self._clock).more:
                break
        return edge.size - state.size

    def _sign_and_publish(self, database: LogDatabase, head: PublishedHead) -> LogState:
        state = database.state()
        if state.size == head.checkpoint.size and head.etag is not None:
            self._note_published(database, state)
            return state
        note = Checkpoint(self._signer.verifier.name, state.size, state.root).sign(self._signer)
        with database.transaction():
            database.expect_size(state.size)
            database.keep_checkpoint(note)
        retention = self._locked_until()
        publish_tiles(database, self._store, head.checkpoint.size, state.size, retention)
        publish_checkpoint(self._store, note, head.etag, retention)
        self._note_published(database, state)
        return state

    def _note_published(self, database: LogDatabase, state: LogState) -> None:
        if state.published_size == state.size:
            return
        with database.transaction():
            database.expect_size(state.size)
            database.mark_published(state.size, self._clock.now())

    def _locked_until(self) -> Retention | None:
        if self._retention is None:
            return None
        return Retention("compliance", self._clock.now() + self._retention)
