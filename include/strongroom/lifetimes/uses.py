"""Uses: who reads what is kept just now, so that no purge deletes it meanwhile.

    uses/<database>/<8 hex>.json
    {"format": "strongroom/use/v1", "database": "shop", "purpose": "restore", "holder": "<host>/<pid>/<random>",
     "items": ["backup/..."], "log": {"system_identifier": "7...", "start": 50331648} | null, "expires_at": "..."}

    uses/<database>/purge.json         what a purge is about to delete or deletes: the other side of the agreement
    {"format": "strongroom/deletion/v1", "items": [...], ...}

Reader: writes its use, then looks whether a purge has named any of it. Purge: names what it will delete, then looks
who uses any of it, and leaves that alone. Whoever comes second sees the other, whichever that is.

A use lasts for minutes unless it is renewed, so a reader that was killed is in nobody's way for long. It is not
signed: all that a forged one can do is put a deletion off.
"""

from __future__ import annotations

import logging
import os
import secrets
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from typing import ClassVar, Literal

from pydantic import AwareDatetime, ConfigDict, TypeAdapter, ValidationError

from strongroom.canonical import canonical_bytes, parse_object
from strongroom.clock import Clock, timestamp
from strongroom.errors import StrongroomError
from strongroom.lifetimes.errors import BeingDeletedError
from strongroom.storage import Condition, ObjectNotFoundError, ObjectStore, StoreError

USES_PREFIX = "uses/"
USE_FORMAT: Literal["strongroom/use/v1"] = "strongroom/use/v1"
DELETION_FORMAT = "strongroom/deletion/v1"
LIFETIME = timedelta(minutes=10)
CLOCK_TOLERANCE = timedelta(minutes=10)
"""How far a reader's clock may be behind a purge's before its use would seem to have expired."""

_RENEWALS_PER_LIFETIME = 5
_TRIES = 2
_LOG = logging.getLogger("strongroom.lifetimes")


@dataclass(frozen=True)
class LogFrom:
    """A cluster's log from a byte position on."""

    system_identifier: str
    start: int


@dataclass(frozen=True)
class UseRecord:
    """What a use says."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid", strict=True)

    database: str
    purpose: str
    holder: str
    items: tuple[str, ...]
    log: LogFrom | None
    expires_at: AwareDatetime
    format: Literal["strongroom/use/v1"] = USE_FORMAT

    def encode(self) -> bytes:
        """The record as it is stored."""
        return canonical_bytes(
            {**asdict(self), "items": list(self.items), "expires_at": timestamp(self.expires_at)}
        )


_ADAPTER: TypeAdapter[UseRecord] = TypeAdapter(UseRecord)


def deletion_key(database: str) -> str:
    """Where a purge names what it is about to delete."""
    return f"{USES_PREFIX}{database}/purge.json"


def uses_of(store: ObjectStore, clock: Clock, database: str) -> Iterator[UseRecord]:
    """Who uses something of a database now.

    Raises:
        StoreUnavailableError: the bucket does not answer.
    """
    for key, record in _stored(store, database):
        if record is None:
            _LOG.warning("The use %s is not readable; nobody is taken to use anything by it.", key)
        elif not _is_over(record, clock):
            yield record


class Readers:
    """Says in the store who reads what.

    A host that cannot write there, or cannot reach it, reads without: then only the grace period protects what it
    reads. For who has to restore from a copy because the store is gone, that is no reason to stop.

    Args:
        store: opens the store that purges look at.
        clock: the time.
    """

    def __init__(self, store: Callable[[], ObjectStore], clock: Clock) -> None:
        self._store, self._clock = store, clock

    @contextmanager
    def reading(
        self, database: str, purpose: str, items: Sequence[str], log: LogFrom | None = None
    ) -> Iterator[None]:
        """Keep purges away from some items while the block runs.

        Args:
            database: whose items.
            purpose: what for, in a word.
            items: their ids, as in `Item.id`.
            log: the log that is read besides.

        Raises:
            BeingDeletedError: a purge has begun to delete one of them.
        """
        holder = f"{socket.gethostname()}/{os.getpid()}/{secrets.token_hex(4)}"
        record = UseRecord(database, purpose, holder, tuple(items), log, self._clock.now() + LIFETIME)
        with ExitStack() as stack:
            try:
                use = _Use(self._store(), self._clock, record)
                stack.callback(use.end)
                use.begin()
            except StoreError as error:
                _LOG.warning("Purges cannot be told what is read here: %s", error.message)
            yield


@contextmanager
def reading(
    readers: Readers | None,
    database: str,
    purpose: str,
    items: Sequence[str],
    log: LogFrom | None = None,
) -> Iterator[None]:
    """As `Readers.reading`; without readers nobody purges what is read."""
    with readers.reading(database, purpose, items, log) if readers else nullcontext():
        yield


class _Use:
    """A use that is renewed in a thread."""

    def __init__(self, store: ObjectStore, clock: Clock, record: UseRecord) -> None:
        self._store, self._clock, self._record = store, clock, record
        self._key = f"{USES_PREFIX}{record.database}/{secrets.token_hex(4)}.json"
        self._stop = threading.Event()
        self._renewer = threading.Thread(target=self._renew, name="use", daemon=True)

    def begin(self) -> None:
        """Say that it is used, unless a purge was first.

        Raises:
            BeingDeletedError: a purge has begun to delete it.
        """
        self._store.put_bytes(self._key, self._record.encode(), condition=Condition.OVERWRITE)
        self._renewer.start()
        _refuse_deleted(self._store, self._record)
        _remove_dead(self._store, self._clock, self._record.database)

    def end(self) -> None:
        """Take it back. When that fails, it expires by itself."""
        self._stop.set()
        if self._renewer.is_alive():
            self._renewer.join()
        for _ in range(_TRIES):
            with suppress(StrongroomError):
                _delete(self._store, self._key)
                return

    def _renew(self) -> None:
        while not self._stop.wait(LIFETIME.total_seconds() / _RENEWALS_PER_LIFETIME):
            record = replace(self._record, expires_at=self._clock.now() + LIFETIME)
            with suppress(StrongroomError):  # the bucket may answer again before it expires
                self._store.put_bytes(self._key, record.encode(), condition=Condition.OVERWRITE)


def _refuse_deleted(store: ObjectStore, record: UseRecord) -> None:
    key = deletion_key(record.database)
    try:
        document = parse_object(store.get_bytes(key, max_bytes=256 << 20), key)
    except ObjectNotFoundError:
        return
    named = {str(one["id"]): one.get("log") for one in document.get("items", ())}
    taken = sorted(set(record.items) & set(named))
    if record.log is not None:
        taken += [name for name, span in named.items() if span and _overlaps(span, record.log)]
    if taken:
        raise BeingDeletedError(
            f"A purge is deleting what this needs: {', '.join(taken[:3])}.",
            hint="Choose something that is kept: `strongroom retention show` tells what goes and why.",
        )


def _overlaps(span: Sequence[object], log: LogFrom) -> bool:
    return bool(span) and span[0] == log.system_identifier and int(str(span[1])) > log.start


def _remove_dead(store: ObjectStore, clock: Clock, database: str) -> None:
    """Remove what killed readers left: expired uses, and those of this machine whose process is gone."""
    for key, record in list(_stored(store, database)):
        if record is not None and (_is_over(record, clock) or _is_dead(record.holder)):
            _delete(store, key)


def _is_over(record: UseRecord, clock: Clock) -> bool:
    return record.expires_at + CLOCK_TOLERANCE <= clock.now()


def _is_dead(holder: str) -> bool:
    host, _, rest = holder.partition("/")
    number = rest.partition("/")[0]
    if host != socket.gethostname() or not number.isdigit():
        return False
    try:
        os.kill(int(number), 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False


def _stored(store: ObjectStore, database: str) -> Iterator[tuple[str, UseRecord | None]]:
    for info in store.list(f"{USES_PREFIX}{database}/"):
        if info.key == deletion_key(database):
            continue
        try:
            yield info.key, _ADAPTER.validate_json(store.get_bytes(info.key))
        except ObjectNotFoundError:
            continue
        except ValidationError:
            yield info.key, None


def _delete(store: ObjectStore, key: str) -> None:
    """Every version: renewing it made several, where the bucket has versions."""
    for version in list(store.list_versions(key)):
        if version.key == key:
            store.delete_version(key, version.version_id)
