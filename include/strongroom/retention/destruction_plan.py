"""The plan to destroy an epoch's private half: what nobody can read any more, and what forbids it.

    {"format": "strongroom/key-destruction/v1", "epoch": "backup-20260801T020000Z-9f3a",
     "unreadable": 12, "unreadable_sha256": "…", "escrowed": 3}

`unreadable_sha256` is over the keys of the objects that are lost, each on a line. Approving names the hash of this.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

from strongroom.canonical import JsonObject, canonical_sha256

FORMAT = "strongroom/key-destruction/v1"
_SHOWN = 20


@dataclass(frozen=True)
class LostObject:
    """An object that no private half here opens any more once the epoch's is gone."""

    key: str
    size_bytes: int
    database: str | None
    escrowed: bool
    """Whether an escrow key, which is on no machine here, still opens it."""
    kept_for: str | None
    """Why it has to stay readable; None when nothing says so."""


@dataclass(frozen=True)
class DestructionPlan:
    """What destroying an epoch's private half does.

    Args:
        epoch_id: the epoch.
        lost: the objects that only this epoch opens here, by key.
        readable: how many further objects it opens that another epoch here opens too.
        obstacles: what forbids it besides objects that have to stay readable, each as a sentence.
    """

    epoch_id: str
    lost: tuple[LostObject, ...]
    readable: int
    obstacles: tuple[str, ...]

    @property
    def blocked(self) -> bool:
        """Whether something forbids it."""
        return bool(self.obstacles) or any(one.kept_for for one in self.lost)

    @property
    def sha256(self) -> str:
        """What an approval names."""
        return canonical_sha256(self.document()).hex()

    def document(self) -> JsonObject:
        """What is approved: what is lost. What forbids it is looked at again when it is carried out."""
        keys = "".join(f"{one.key}\n" for one in self.lost)
        return {
            "format": FORMAT,
            "epoch": self.epoch_id,
            "unreadable": len(self.lost),
            "unreadable_sha256": hashlib.sha256(keys.encode()).hexdigest(),
            "escrowed": sum(one.escrowed for one in self.lost),
        }

    def lines(self) -> list[str]:
        """The plan for people."""
        lost = sum(one.size_bytes for one in self.lost)
        lines = [
            f"Destroy the private half of {self.epoch_id}, here and in every copy. It cannot be undone.",
            f"{len(self.lost)} objects ({lost:,} bytes) can then be opened by nothing here;"
            f" {sum(one.escrowed for one in self.lost)} of them still by an escrow key.",
            f"{self.readable} further objects stay readable by another epoch.",
        ]
        lines += [f"  unreadable: {one.key}" for one in self.lost[:_SHOWN]]
        if len(self.lost) > _SHOWN:
            lines.append(f"  and {len(self.lost) - _SHOWN} more")
        return [*lines, *self.why_not()]

    def why_not(self) -> Iterator[str]:
        """What forbids it, a line each."""
        yield from (f"FORBIDDEN: {obstacle}" for obstacle in self.obstacles)
        kept = [one for one in self.lost if one.kept_for]
        yield from (f"FORBIDDEN: {one.key} has to stay readable: {one.kept_for}" for one in kept[:_SHOWN])
        if len(kept) > _SHOWN:
            yield f"FORBIDDEN: and {len(kept) - _SHOWN} more objects have to stay readable"
