"""What takes backups: an engine makes the objects of one backup and says what they are."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from strongroom.backup.extending import NO_BASIS, Basis
from strongroom.backup.manifest import ChainLink, ManifestObject, RestorePoint, Role, ServerFacts
from strongroom.backup.reasons import WhyFull
from strongroom.backup.server_manifest import CompressedManifest
from strongroom.postgres import Connection
from strongroom.vault import Content

ObjectWriter = Callable[[str, Role, Content], ManifestObject]
"""Seals one object of the backup and puts it, streamed, into the bucket: name, role, content."""


@dataclass(frozen=True)
class BackupRequest:
    """One backup to take."""

    backup_id: str
    conninfo: str
    """Of the source; may hold a password, so it is never printed or passed in a command line."""
    control: Connection
    """The session that holds the advisory lock; the engine may use it between its streams."""
    fingerprint: Literal["all", "none"] | tuple[str, ...]
    """Which tables to fingerprint: all, none, or `schema.table` names."""
    alive: Callable[[], None]
    """Called often; raises when this run may not go on."""
    progress: Callable[[str, int], None]
    """Called with a stage (`base`, `wal`, `fingerprints`) and how many bytes or tables passed so far."""
    basis: Basis = NO_BASIS
    """What an incremental backup may build on; a full backup without it."""


@dataclass(frozen=True)
class EngineResult:
    """A backup whose objects are all in the bucket; its manifest is not written yet."""

    kind: Literal["full", "incremental"]
    started_at: datetime
    finished_at: datetime
    """By the source's clock, as `started_at`."""
    server: ServerFacts
    start_lsn: str
    stop_lsn: str
    restore_point: RestorePoint
    objects: tuple[ManifestObject, ...]
    chain: ChainLink | None = None
    """What it builds on, when it is incremental."""
    why_full: WhyFull | None = None
    """Why it is full, where an incremental backup might have been expected."""
    server_manifest: CompressedManifest | None = None
    """PostgreSQL's own manifest of it, for the next incremental backup."""


class BackupEngine(ABC):
    """A way of taking backups."""

    method: Literal["physical", "logical"]

    @abstractmethod
    def check(self, request: BackupRequest) -> None:
        """Look whether the source allows such a backup, before anything is written.

        Raises:
            SourceNotReadyError: a setting of the server forbids it.
            MissingPrivilegeError: the user lacks a privilege; the hint holds the statements that grant it.
        """

    @abstractmethod
    def run(self, request: BackupRequest, write: ObjectWriter) -> EngineResult:
        """Take the backup.

        Raises:
            TransientError: the source or the store failed; what was written is debris of this backup.
            IntegrityError: the source is damaged, or its stream is not whole.
        """
