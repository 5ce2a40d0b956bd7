"""The reasons for which items are kept, collected rule by rule."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from strongroom.lifetimes import Item


@dataclass(frozen=True, slots=True)
class Reason:
    """Why something is kept.

    Args:
        rule: the rule's name: `last`, `weekly`, `proven`, `chain`, `hold`, `lock`.
        text: in words.
        until: when this reason ends, where that is known today.
        binding: whether the rule wants the thing to be there, so that its lock may be extended; a lock, or somebody
            who uses it just now, only forbid to delete it.
    """

    rule: str
    text: str
    until: datetime | None = None
    binding: bool = True


class Keeping:
    """What is kept, and why."""

    def __init__(self) -> None:
        self._reasons: dict[str, list[Reason]] = defaultdict(list)

    def add(self, item_id: str, reason: Reason) -> None:
        """One more reason to keep an item."""
        self._reasons[item_id].append(reason)

    def reasons(self, item_id: str) -> list[Reason]:
        """All of them; none for what nothing keeps."""
        return self._reasons.get(item_id, [])

    def __contains__(self, item_id: str) -> bool:
        return item_id in self._reasons


def close_over_dependencies(keeping: Keeping, items: Iterable[Item]) -> None:
    """Keep what kept items depend on, down to the last: an incremental backup is nothing without its ancestors."""
    by_id = {item.id: item for item in items}
    waiting = [item for item in by_id.values() if item.id in keeping and item.depends_on]
    noted: set[tuple[str, str]] = set()
    while waiting:
        item = waiting.pop()
        for needed in item.depends_on:
            if needed not in by_id or (needed, item.id) in noted:
                continue
            noted.add((needed, item.id))
            keeping.add(needed, _needed_by(item, keeping.reasons(item.id)))
            waiting.append(by_id[needed])


def _needed_by(item: Item, reasons: list[Reason]) -> Reason:
    ends = [reason.until for reason in reasons]
    until = None if None in ends else max((end for end in ends if end is not None), default=None)
    binding = any(reason.binding for reason in reasons)
    return Reason("chain", f"{_name(item)} is kept and builds on it", until, binding)


def _name(item: Item) -> str:
    return f"the {item.kind} {item.id.split('/', 1)[-1]}"
