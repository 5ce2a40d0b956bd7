"""Keeping copies: what can be asked for, and what is answered."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Literal

from strongroom.access import Actor
from strongroom.backup.copying.filling import Problem
from strongroom.backup.copying.following import ShippedLog

if TYPE_CHECKING:
    from strongroom.policy import Policy

Progress = Callable[[str, int], None]


@dataclass(frozen=True)
class CopyPlan:
    """What a policy says about the copies of one database."""

    database: str
    policy_sha256: str
    lock_mode: Literal["governance", "compliance"] | None = None
    lock_days: int = 0

    @classmethod
    def from_policy(cls, policy: Policy) -> CopyPlan:
        """The part of a policy that this is about."""
        lock = policy.backup.lock
        return cls(policy.database, policy.sha256, lock.mode if lock else None, lock.days if lock else 0)


@dataclass(frozen=True)
class CopyReport:
    """What a run to one copy did."""

    copy: str
    database: str
    backups: tuple[str, ...]
    """The ids of all backups that the copy holds whole now."""
    new_backups: tuple[str, ...]
    """Those of them that it had not held before."""
    copied_objects: int
    copied_bytes: int
    locked_until: datetime | None
    """Until when the new backups are locked in the copy; None where they are not."""
    problems: tuple[Problem, ...]
    seconds: float


@dataclass(frozen=True)
class FollowReport:
    """What a run did that brought a copy up to the shipped log alone."""

    copy: str
    database: str
    compared: Literal["new", "all"]
    """Whether what came since the last run was looked at, or the whole archive: the first time, and after a failure."""
    copied_objects: int
    copied_bytes: int
    problems: tuple[Problem, ...]
    seconds: float


@dataclass(frozen=True)
class CopyStatus:
    """What is known of one copy of a database."""

    copy: str
    url: str
    backups: int
    """How many backups the control database knows."""
    complete: int
    """How many of them the copy holds whole."""
    newest: str | None
    """The newest backup that it holds whole."""
    locked_until: datetime | None
    """Until when that one is locked."""
    last_run: datetime | None
    outcome: str | None
    """How that run ended: `success`, `partial` or `failure`."""
    problems: int
    proof: str | None
    """What the newest verification of this copy found: `proven` or `failed`."""
    proven_backup: str | None
    """Of which backup."""


class Replicator(ABC):
    """Copies sealed objects to further stores without opening them. Needs no private key."""

    @abstractmethod
    def run(
        self, actor: Actor, policy: Policy | CopyPlan, copy: str, *, progress: Progress | None = None
    ) -> CopyReport:
        """Bring a copy up to the store.

        Args:
            actor: who asks; needs `copy_objects`.
            policy: of the database.
            copy: the copy's name in the settings.
            progress: told the key and the size of each object that was copied.

        Raises:
            AccessDeniedError: the actor may not; the refusal is recorded.
            UnknownCopyError: the settings define no such copy.
            CopyInProgressError: another run copies this database to it now.
            CopyIncompleteError: something is not what was recorded; all the rest was copied.
            TransientError: a store or the control database failed; the next run goes on from there.
        """

    @abstractmethod
    def follow(
        self,
        actor: Actor,
        policy: Policy | CopyPlan,
        copy: str,
        log: ShippedLog,
        *,
        progress: Progress | None = None,
    ) -> FollowReport:
        """Bring a copy up to the log that was just shipped, and the key records with it; cheap enough for every time.

        Args:
            actor: who asks; needs `copy_objects`.
            policy: of the database.
            copy: the copy's name in the settings.
            log: what was shipped.
            progress: told the key and the size of each object that was copied.

        Raises:
            AccessDeniedError: the actor may not; the refusal is recorded.
            UnknownCopyError: the settings define no such copy.
            CopyInProgressError: another run copies this database's log to it now.
            CopyIncompleteError: something is not what was recorded; all the rest was copied.
            TransientError: a store or the control database failed; the next run goes on from there.
        """

    @abstractmethod
    def status(self, database: str, copy: str) -> CopyStatus:
        """What is known of a copy.

        Raises:
            UnknownCopyError: the settings define no such copy.
            CatalogUnavailableError: the control database does not answer.
        """
