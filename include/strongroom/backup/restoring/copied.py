"""What a restore took from copies, since the store had no sound object: told, and recorded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from strongroom.storage import FallbackStore, FallbackUse, ObjectStore

_NAMED = 20

Uses = tuple[FallbackUse, ...]


@contextmanager
def copies_used(store: ObjectStore) -> Iterator[Callable[[], Uses]]:
    """Gives what was taken from copies since the block began, each object once; nothing from a store alone."""
    if isinstance(store, FallbackStore):
        with store.watched() as uses:
            yield lambda: tuple(uses)
    else:
        yield tuple


def copied_counts(uses: Sequence[FallbackUse]) -> dict[str, int]:
    """For the audit event: how many objects came from copies."""
    return {"objects_from_copies": len(uses)} if uses else {}


def copied_details(uses: Sequence[FallbackUse]) -> dict[str, Any]:
    """For the audit event: from which copies, and the first of the objects."""
    if not uses:
        return {}
    return {"copies": sorted({use.store for use in uses}), "from_copies": [use.key for use in uses[:_NAMED]]}


def copied_lines(uses: Sequence[FallbackUse]) -> list[str]:
    """For a person: each copy, how much came from it, and why the first of it did."""
    counts = Counter(use.store for use in uses)
    first = {use.store: use for use in reversed(uses)}
    lines = [
        f"{count} object{'s' * (count > 1)} came from the copy {name}, as the store had none that was sound:"
        f" {first[name].key}{f' and {count - 1} more' if count > 1 else ''}"
        f" ({first[name].reason.removesuffix('.')})."
        for name, count in sorted(counts.items())
    ]
    return [*lines, "Repair the store from its copies before anything else is lost."] if lines else []
