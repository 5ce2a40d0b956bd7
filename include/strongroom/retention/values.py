"""A plan: each thing there is, what becomes of it, and why. Canonical JSON; its hash is what people approve.

    {"format": "strongroom/retention-plan/v1", "database": ..., "place": "store", "made_at": ...,
     "policy_sha256": ..., "grace": "3d",
     "decisions": [{"item": ..., "kind": ..., "action": "keep" | "mark" | "wait" | "delete" | "unmark",
                    "reason": ..., "rule": ..., "created_at": ..., "until": ... | null, "objects": 3,
                    "size_bytes": ..., "objects_sha256": ... | null}, ...],
     "locks": [{"item": ..., "until": ..., "mode": ..., "reason": ...}, ...],
     "unusual": ["..."]}

`objects_sha256` is over the keys of what is to be deleted, each on a line. Nothing in a plan is personal data.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import cached_property

from strongroom.canonical import JsonObject, canonical_sha256
from strongroom.clock import parse_timestamp, timestamp
from strongroom.errors import InputError
from strongroom.lifetimes import Kind
from strongroom.retention.errors import PlanChangedError

PLAN_FORMAT = "strongroom/retention-plan/v1"


class Action(StrEnum):
    """What becomes of an item."""

    KEEP = "keep"
    MARK = "mark"
    """Its time is over: mark it, and delete it after the grace period unless something keeps it by then."""
    WAIT = "wait"
    """Marked before, and its grace period is not over; or something else has to go first."""
    DELETE = "delete"
    UNMARK = "unmark"
    """Marked before, and something keeps it now."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What becomes of one item, and why.

    Args:
        item: its id.
        kind: what it is.
        action: what becomes of it.
        rule: the name of the rule that decides.
        reason: the whole reason in words.
        created_at: the moment that its age counts from.
        objects: how many objects it has.
        size_bytes: how much room they take.
        until: when it may go at the earliest, where that is known.
        objects_sha256: of the keys that are deleted; None where nothing is.
    """

    item: str
    kind: Kind
    action: Action
    rule: str
    reason: str
    created_at: datetime
    objects: int
    size_bytes: int
    until: datetime | None = None
    objects_sha256: str | None = None

    def document(self) -> JsonObject:
        """The decision as JSON."""
        return {
            "item": self.item,
            "kind": str(self.kind),
            "action": str(self.action),
            "rule": self.rule,
            "reason": self.reason,
            "created_at": timestamp(self.created_at),
            "objects": self.objects,
            "size_bytes": self.size_bytes,
            "until": timestamp(self.until) if self.until else None,
            "objects_sha256": self.objects_sha256,
        }


@dataclass(frozen=True, slots=True)
class LockExtension:
    """A lock that has to last longer, because what it protects has to stay."""

    item: str
    mode: str
    until: datetime
    reason: str

    def document(self) -> JsonObject:
        """The extension as JSON."""
        return {"item": self.item, "mode": self.mode, "until": timestamp(self.until), "reason": self.reason}


@dataclass(frozen=True)
class Plan:
    """What a purge of one database in one store will do.

    Args:
        database: whose things they are.
        place: `store`, or a copy's name.
        made_at: by the planner's clock.
        policy_sha256: of the policy that it follows.
        grace: the grace period, as the policy writes it.
        decisions: one for each item there is.
        locks: the locks that are extended.
        unusual: why a person has to look at it before it is carried out; nothing for an everyday purge.
    """

    database: str
    place: str
    made_at: datetime
    policy_sha256: str
    grace: str
    decisions: tuple[Decision, ...]
    locks: tuple[LockExtension, ...] = ()
    unusual: tuple[str, ...] = ()

    @property
    def needs_approval(self) -> bool:
        """Whether a second person has to approve it."""
        return bool(self.unusual)

    @property
    def is_idle(self) -> bool:
        """Whether there is nothing to do."""
        return not self.locks and all(
            decision.action in (Action.KEEP, Action.WAIT) for decision in self.decisions
        )

    @cached_property
    def by_item(self) -> Mapping[str, Decision]:
        """The decisions by item."""
        return {decision.item: decision for decision in self.decisions}

    def having(self, *actions: Action) -> Iterator[Decision]:
        """The decisions with one of these actions, in order."""
        return (decision for decision in self.decisions if decision.action in actions)

    def count(self) -> Counter[Action]:
        """How many items each action has."""
        return Counter(decision.action for decision in self.decisions)

    def document(self) -> JsonObject:
        """The plan as JSON."""
        return {
            "format": PLAN_FORMAT,
            "database": self.database,
            "place": self.place,
            "made_at": timestamp(self.made_at),
            "policy_sha256": self.policy_sha256,
            "grace": self.grace,
            "decisions": [decision.document() for decision in self.decisions],
            "locks": [lock.document() for lock in self.locks],
            "unusual": list(self.unusual),
        }

    @cached_property
    def sha256(self) -> str:
        """What an approval names."""
        return canonical_sha256(self.document()).hex()

    def require(self, sha256: str) -> None:
        """Let a plan pass that is the named one.

        Raises:
            PlanChangedError: the hash is another plan's.
        """
        if sha256.strip().lower() != self.sha256:
            raise PlanChangedError(
                f"The plan's hash is {self.sha256}, not {sha256[:64]}: this is another plan.",
                hint="Look at the plan as it is now, and name that one.",
            )


def parse_plan(document: JsonObject) -> Plan:
    """The plan in a stored document; check its hash next.

    Raises:
        InputError: it is no plan of this format.
    """
    try:
        members = dict(document)
        if members.pop("format") != PLAN_FORMAT:
            raise ValueError(f"its format is not {PLAN_FORMAT}")
        return Plan(
            made_at=parse_timestamp(members.pop("made_at")),
            decisions=tuple(_decision(one) for one in members.pop("decisions")),
            locks=tuple(
                LockExtension(**{**one, "until": parse_timestamp(one["until"])})
                for one in members.pop("locks")
            ),
            unusual=tuple(members.pop("unusual")),
            **members,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"This is no retention plan: {error}") from error


def _decision(document: JsonObject) -> Decision:
    members = dict(document)
    until = members.pop("until")
    return Decision(
        kind=Kind(members.pop("kind")),
        action=Action(members.pop("action")),
        created_at=parse_timestamp(members.pop("created_at")),
        until=parse_timestamp(until) if until else None,
        **members,
    )
