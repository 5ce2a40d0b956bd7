"""The lease: an object in the bucket that says which run works on a database now.

    leases/<database>.json               of the backups
    leases/<database>.<purpose>.json     of what may run beside a backup: `wal`, `purge`
    {"format": "strongroom/lease/v1", "database": "shop", "holder": "<host>/<pid>/<random>",
     "source": "7.../shop", "fencing_number": 4, "expires_at": "...", "released": false}

It changes hands by compare-and-swap, and each holder's fencing number is higher than the last one's. A thread
renews it while the run lasts. Who cannot renew it in time, or finds another holder in it, has lost it and
must stop: that is what `alive` is for.

A run that was killed leaves its lease behind. Whoever holds the source's advisory lock knows that the old
holder's session is gone, and takes over at once when the lease was made for that same source; anybody else
waits until it expires.
"""

from __future__ import annotations

import os
import secrets
import socket
import threading
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Annotated, ClassVar, Literal, Self

from pydantic import AwareDatetime, ConfigDict, Field, TypeAdapter, ValidationError

from strongroom.canonical import canonical_bytes
from strongroom.clock import Clock, timestamp
from strongroom.errors import IntegrityError, RefusedError, StrongroomError
from strongroom.lifetimes.errors import LeaseHeldError, LeaseLostError
from strongroom.storage import (
    Condition,
    ObjectExistsError,
    ObjectNotFoundError,
    ObjectStore,
    PreconditionFailedError,
)

FORMAT: Literal["strongroom/lease/v1"] = "strongroom/lease/v1"
DEFAULT_LIFETIME = timedelta(minutes=5)
_RENEWALS_PER_LIFETIME = 5


@dataclass(frozen=True)
class LeaseRecord:
    """What the lease object says."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid", strict=True)

    database: str
    holder: str
    source: str
    """System identifier and database: where the holder has the advisory lock."""
    fencing_number: Annotated[int, Field(ge=1)]
    expires_at: AwareDatetime
    released: bool
    format: Literal["strongroom/lease/v1"] = FORMAT

    def encode(self) -> bytes:
        """The record as it is stored."""
        return canonical_bytes({**asdict(self), "expires_at": timestamp(self.expires_at)})


_ADAPTER: TypeAdapter[LeaseRecord] = TypeAdapter(LeaseRecord)


def lease_key(database: str, purpose: str = "backup") -> str:
    """The key of a database's lease; what is done with a database side by side has leases of its own."""
    return f"leases/{database}.json" if purpose == "backup" else f"leases/{database}.{purpose}.json"


class Lease:
    """A held lease; a context manager that renews it in a thread and releases it at the end.

    Args:
        store: the bucket.
        clock: the time.
        database: whose lease.
        source: system identifier and database in which the caller holds the advisory lock.
        lifetime: how long it lasts without renewal.
        purpose: what for, as in `lease_key`.
    """

    def __init__(
        self,
        store: ObjectStore,
        clock: Clock,
        database: str,
        source: str,
        *,
        lifetime: timedelta = DEFAULT_LIFETIME,
        purpose: str = "backup",
    ) -> None:
        self._store = store
        self._clock = clock
        self._key = lease_key(database, purpose)
        self._lifetime = lifetime
        self._holder = f"{socket.gethostname()}/{os.getpid()}/{secrets.token_hex(4)}"
        self._record = LeaseRecord(database, self._holder, source, 1, self._expiry(), released=False)
        self._etag = ""
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._lost: StrongroomError | None = None
        self._renewer = threading.Thread(target=self._renew_often, name="lease", daemon=True)

    @property
    def fencing_number(self) -> int:
        """Higher than that of every holder before."""
        return self._record.fencing_number

    def __enter__(self) -> Self:
        """Take the lease.

        Raises:
            LeaseHeldError: another run has it.
        """
        try:
            self._take()
        except (ObjectExistsError, PreconditionFailedError) as error:
            raise self._in_progress("another run took the lease at the same moment") from error
        self._renewer.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._stop.set()
        self._renewer.join()
        if self._lost is None:
            self._release()

    def alive(self) -> None:
        """Pass while the lease is ours; cheap.

        Raises:
            LeaseLostError: it is not; stop at once.
        """
        if self._lost is not None:
            raise self._lost
        if self._clock.now() >= self._record.expires_at:
            raise LeaseLostError(f"The lease {self._key} ran out before it could be renewed.")

    def confirm(self) -> None:
        """Renew now, and pass only if the lease is ours: before the one write that makes the backup count.

        Raises:
            LeaseLostError: it is not ours any more.
            StoreUnavailableError: the bucket does not answer.
        """
        self._renew()
        self.alive()

    def _take(self) -> None:
        current, etag = self._read()
        if current is None:
            self._write(self._record, Condition.IF_ABSENT)
            return
        ours = replace(self._record, fencing_number=current.fencing_number + 1)
        same_source = current.source == ours.source
        if not (current.released or same_source or current.expires_at <= self._clock.now()):
            raise self._in_progress(f"{current.holder} holds it until {timestamp(current.expires_at)}")
        self._write(ours, Condition.if_match(etag))

    def _read(self) -> tuple[LeaseRecord | None, str]:
        try:
            etag = self._store.head(self._key).etag
            data = self._store.get_bytes(self._key)
        except ObjectNotFoundError:
            return None, ""
        return _decoded(data, self._key), etag

    def _write(self, record: LeaseRecord, condition: Condition) -> None:
        with self._lock:
            self._etag = self._store.put_bytes(self._key, record.encode(), condition=condition).etag
            self._record = record

    def _renew_often(self) -> None:
        pause = self._lifetime.total_seconds() / _RENEWALS_PER_LIFETIME
        while not self._stop.wait(pause):
            try:
                self._renew()
            except LeaseLostError:
                return
            except StrongroomError:
                continue  # the bucket may answer again before the lease runs out; `alive` watches the time

    def _renew(self) -> None:
        try:
            self._write(replace(self._record, expires_at=self._expiry()), Condition.if_match(self._etag))
        except (PreconditionFailedError, ObjectNotFoundError) as error:
            lost = LeaseLostError(
                f"Another run has taken the lease {self._key} over; this one stops.",
                hint="This run's session on the source must have broken. The next run starts anew.",
            )
            self._lost = lost
            raise lost from error

    def _release(self) -> None:
        """Say that it is over. When that fails, the lease expires by itself."""
        try:
            self._write(replace(self._record, released=True), Condition.if_match(self._etag))
        except StrongroomError:
            return

    def _expiry(self) -> datetime:
        return self._clock.now() + self._lifetime

    def _in_progress(self, why: str) -> RefusedError:
        return LeaseHeldError(f"Another run holds {self._key}: {why}.", hint="Wait for it.")


def live_lease(
    store: ObjectStore, clock: Clock, database: str, purpose: str = "backup"
) -> LeaseRecord | None:
    """The lease that a run holds now; None when nobody does.

    Raises:
        IntegrityError: it is not readable.
        StoreUnavailableError: the bucket does not answer.
    """
    key = lease_key(database, purpose)
    try:
        record = _decoded(store.get_bytes(key), key)
    except ObjectNotFoundError:
        return None
    return None if record.released or record.expires_at <= clock.now() else record


def _decoded(data: bytes, key: str) -> LeaseRecord:
    try:
        return _ADAPTER.validate_json(data)
    except ValidationError as error:
        raise IntegrityError(
            f"The lease {key} is not readable.",
            hint="Make sure that no run works on the database, then delete that object.",
        ) from error
