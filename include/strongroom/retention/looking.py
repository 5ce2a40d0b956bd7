"""A last look, after a plan was carried out: what was deleted is gone, and what was kept is there."""

from __future__ import annotations

from strongroom.lifetimes import Kind
from strongroom.retention.errors import KeptMissingError, NotGoneError
from strongroom.retention.facts import Facts
from strongroom.retention.values import Action, Plan

_KEPT_BY_PURGES_ALONE = frozenset({Kind.BACKUP, Kind.WAL, Kind.ARCHIVE})
"""What nothing but a purge deletes. Debris goes with the next run, for instance."""


def look(carried_out: Plan, facts: Facts) -> int:
    """Compare a plan that was carried out with what is there now.

    What was to go and is still marked was spared, because it was locked or in use; the next plan tells of it.

    Returns:
        How many things were looked for.

    Raises:
        NotGoneError: something that was deleted is there.
        KeptMissingError: something that was kept is not there.
    """
    present = {item.id for item in facts.items}
    deleted = [one.item for one in carried_out.having(Action.DELETE) if one.item not in facts.marks]
    for name in deleted:
        if name in present:
            raise NotGoneError(
                f"{name} of {facts.database} was deleted, and is there again ({facts.place}).",
                hint="Something writes it again: look at who has access to the store.",
            )
    kept = [
        one.item
        for one in carried_out.having(Action.KEEP, Action.UNMARK, Action.MARK, Action.WAIT)
        if one.kind in _KEPT_BY_PURGES_ALONE
    ]
    for name in kept:
        if name not in present:
            raise KeptMissingError(
                f"{name} of {facts.database} was to be kept, and is not there any more ({facts.place}).",
                hint="Look at who has access to the store, and take a new backup.",
            )
    return len(deleted) + len(kept)
