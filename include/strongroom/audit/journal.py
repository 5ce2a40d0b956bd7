"""A journal: what was done where no control database was, on its way into the log.

    <directory>/journal.key             signs, where this host does not have the installation's key
    <directory>/<journal>.jsonl         a line for each event, on disk before the step that it tells of
    <directory>/<journal>.person        whose commitments stand in it; this file alone says so, and it stays here
    journal/<journal>/<index>.jsonl     in the bucket, where it takes them: the lines from that index on

Each line is a signed JSON document that names the line before it, so none can be changed, left out or added later:

    {"format": "strongroom/journal/v1", "journal": <uuid7>, "index": 0, "previous": <64 zeros>,
     "installation": <verifier key>, "signature": {...}}
    {"format": ..., "journal": ..., "index": 1, "previous": <SHA-256 of the line before, without its end>,
     "entry": <the event, as it will stand in the log>, "signature": {...}}

The installation's key signs, where this host has it; else a key that is made for the directory. That one says that the
lines belong together and were written there; whether to believe the place, a person says who imports them.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from threading import Lock
from uuid import UUID

from strongroom.access import ActorKind
from strongroom.audit.errors import JournalUnwritableError
from strongroom.audit.events import Event, event_bytes
from strongroom.audit.identifiers import uuid7
from strongroom.audit.recorder import EventRecorder
from strongroom.audit.sink import person_commitment
from strongroom.audit.taxonomy import EventType
from strongroom.canonical import JsonObject, canonical_bytes, parse_object
from strongroom.clock import Clock
from strongroom.errors import InputError, StrongroomError
from strongroom.files import new_private_file
from strongroom.signing import SignerKey, VerifierKey

JOURNAL_FORMAT = "strongroom/journal/v1"
JOURNAL_PREFIX = "journal/"
"""Below it journals lie in the bucket."""

FIRST_PREVIOUS = "0" * 64
KEY_NAME = "journal.key"
PERSON_SUFFIX = ".person"
_SALT_BYTES = 32
_PUBLISHED = frozenset({EventType.RESTORE_RUN_EXECUTE, EventType.ACCESS_PERMISSION_REFUSE})
"""These are sent to the bucket at once: an attempt before it acts, a result as soon as it is known."""

Publish = Callable[[str, bytes], str]
"""Stores lines under a key, and gives the URL of the store that took them; raises a StrongroomError if none does."""


@dataclass(frozen=True)
class JournalState:
    """Where a journal is."""

    path: Path
    events: int
    signer: VerifierKey
    own_key: bool
    """Whether it is signed with a key of its own: this host does not have the installation's."""
    kept: str | None
    """Where in a bucket all of it lies too; None where not."""
    refused: str | None
    """Why the bucket does not hold it."""


class Journal(EventRecorder):
    """Records events in a local file, and in the bucket where that is possible. Makes the file with the first one.

    Args:
        directory: where journals lie.
        installation: the key of the installation whose log the events belong to.
        clock: the time.
        signer: the installation's signing key; None where this host has none.
        publish: stores lines in the bucket.
    """

    def __init__(
        self,
        directory: Path,
        installation: VerifierKey,
        clock: Clock,
        *,
        signer: SignerKey | None,
        publish: Publish,
    ) -> None:
        self.id = str(uuid7(clock.now()))
        self._path = directory / f"{self.id}.jsonl"
        self._installation, self._clock, self._publish = installation, clock, publish
        self._given = signer
        self._lock = Lock()
        self._lines: list[bytes] = []
        self._published = 0
        self._kept: str | None = None
        self._refused: str | None = None
        self._salts: dict[str, bytes] = {}

    @cached_property
    def _signer(self) -> SignerKey:
        if self._given is not None:
            return self._given
        path = self._path.parent / KEY_NAME
        if not path.exists():
            made = SignerKey.generate(f"journal.{self.id[-12:]}")
            with (
                contextlib.suppress(InputError),
                new_private_file(path) as file,
            ):  # another process may be faster
                file.write(made.encode().encode())
        return SignerKey.read(path)

    def record(self, event: Event) -> UUID:
        with self._lock:
            if not self._lines:
                self._begin()
            now = self._clock.now()
            event_id = uuid7(now)
            self._append({"entry": parse_object(self._entry(event, event_id), "the event")})
            if event.type in _PUBLISHED:
                self._send()
        return event_id

    def publish(self) -> JournalState | None:
        """Send what the bucket does not hold yet. None when nothing was recorded."""
        with self._lock:
            if not self._lines:
                return None
            self._send()
            return JournalState(
                path=self._path,
                events=len(self._lines) - 1,
                signer=self._signer.verifier,
                own_key=self._given is None,
                kept=self._kept if self._published == len(self._lines) else None,
                refused=self._refused,
            )

    def _entry(self, event: Event, event_id: UUID) -> bytes:
        return event_bytes(event, event_id, self._clock.now(), self._actor_name(event))

    def _actor_name(self, event: Event) -> str:
        actor = event.actor
        if actor.kind is ActorKind.TASK:
            return actor.name
        if actor.name not in self._salts:
            self._salts[actor.name] = secrets.token_bytes(_SALT_BYTES)
            salts = {name: salt.hex() for name, salt in self._salts.items()}
            self._write(self._path.with_suffix(PERSON_SUFFIX), json.dumps(salts).encode(), os.O_TRUNC)
        return person_commitment(self._salts[actor.name], actor.name)

    def _begin(self) -> None:
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise self._unwritable(error) from error
        self._append({"installation": str(self._installation)})
        with contextlib.suppress(OSError):
            descriptor = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

    def _append(self, members: JsonObject) -> None:
        previous = hashlib.sha256(self._lines[-1]).hexdigest() if self._lines else FIRST_PREVIOUS
        place = {
            "format": JOURNAL_FORMAT,
            "journal": self.id,
            "index": len(self._lines),
            "previous": previous,
        }
        line = canonical_bytes(self._signer.sign_json({**place, **members}))
        self._write(self._path, line + b"\n", os.O_APPEND)
        self._lines.append(line)

    def _write(self, path: Path, data: bytes, how: int) -> None:
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | how, 0o600)
            with os.fdopen(descriptor, "wb", buffering=0) as file:
                view = memoryview(data)
                while view:
                    view = view[file.write(view) :]
                os.fsync(file.fileno())
        except OSError as error:
            raise self._unwritable(error) from error

    def _send(self) -> None:
        if self._published == len(self._lines):
            return
        key = f"{JOURNAL_PREFIX}{self.id}/{self._published:06}.jsonl"
        data = b"".join(line + b"\n" for line in self._lines[self._published :])
        try:
            self._kept = f"{self._publish(key, data)}/{JOURNAL_PREFIX}{self.id}/"
        except StrongroomError as error:
            self._refused = error.message
            return
        self._published, self._refused = len(self._lines), None

    def _unwritable(self, error: OSError) -> JournalUnwritableError:
        return JournalUnwritableError(
            f"The journal {self._path} cannot be written: {error.strerror}.",
            hint="Without a control database nothing is done that is not written there first: name another place"
            " with `journal_directory`, or free some room.",
        )
