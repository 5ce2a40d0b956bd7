"""The four-eyes rule: what cannot be undone, or brings data back, needs two different people."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from strongroom.errors import AccessDeniedError


class SamePersonError(AccessDeniedError):
    """One person cannot be both of the two."""


@dataclass(frozen=True)
class Decision:
    """A person's answer to a plan.

    Args:
        approved: whether it was yes.
        plan_sha256: the hash that the person named.
        requested_by: the account of the person who asked; None when it was no person.
        decided_by: the account of the person who answered; None when it was no person.
        decided_at: when.
        run: the run that it is for.
    """

    approved: bool
    plan_sha256: str
    requested_by: str | None
    decided_by: str | None
    decided_at: datetime
    run: str


def require_two_people(requested_by: str | None, decided_by: str | None, what: str) -> tuple[str, str]:
    """Let a decision pass that somebody else made than the one who asked.

    Args:
        requested_by: the account of the person who asked; None when it was no person.
        decided_by: the account of the person who decided; None when it was no person.
        what: what was decided, for the error.

    Returns:
        Both accounts.

    Raises:
        SamePersonError: it was the same person, or one of the two was nobody.
    """
    asked, decided = (name.strip() if name else "" for name in (requested_by, decided_by))
    if not asked:
        raise SamePersonError(
            f"Nobody is known to have asked for {what}, so nobody else can approve it.",
            hint="Start the run as a person: from Airflow's UI or its REST API.",
        )
    if not decided:
        raise SamePersonError(f"No person approved {what}.", hint="A person has to answer, not a default.")
    if asked.casefold() == decided.casefold():
        raise SamePersonError(
            f"The person who asked for {what} cannot approve it too.",
            hint="Clear the approval task, and let a second person answer.",
        )
    return asked, decided
