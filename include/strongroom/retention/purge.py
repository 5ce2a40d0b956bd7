"""A purge: the plans of one database in its store and in each of its copies, approved and carried out as one.

{"format": "strongroom/purge/v1", "database": ..., "plans": [<retention plan>, ...]}
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

import zstandard

from strongroom.canonical import JsonObject, canonical_bytes, canonical_sha256, parse_object
from strongroom.errors import InputError
from strongroom.retention.values import Plan, parse_plan

PURGE_FORMAT = "strongroom/purge/v1"


@dataclass(frozen=True)
class Purge:
    """What a purge will do, everywhere."""

    database: str
    plans: tuple[Plan, ...]
    """The store's own plan first."""

    @property
    def made_at(self) -> datetime:
        """When it was planned."""
        return self.plans[0].made_at

    @property
    def policy_sha256(self) -> str:
        """The policy that it follows."""
        return self.plans[0].policy_sha256

    @property
    def needs_approval(self) -> bool:
        """Whether a second person has to approve it."""
        return any(plan.needs_approval for plan in self.plans)

    @property
    def is_idle(self) -> bool:
        """Whether there is nothing to do."""
        return all(plan.is_idle for plan in self.plans)

    def document(self) -> JsonObject:
        """The purge as JSON."""
        return {
            "format": PURGE_FORMAT,
            "database": self.database,
            "plans": [plan.document() for plan in self.plans],
        }

    @cached_property
    def sha256(self) -> str:
        """What an approval names."""
        return canonical_sha256(self.document()).hex()

    def compressed(self) -> bytes:
        """The document as it is kept: canonical JSON, compressed with zstd."""
        return zstandard.ZstdCompressor(level=9).compress(canonical_bytes(self.document()))


def read_purge(data: bytes) -> Purge:
    """The purge in what `Purge.compressed` gave.

    Raises:
        InputError: it is none of this format.
    """
    plain = zstandard.ZstdDecompressor().decompress(data, max_output_size=1 << 30)
    document = parse_object(plain, "The purge plan")
    if document.get("format") != PURGE_FORMAT:
        raise InputError(f"This is no purge plan of the format {PURGE_FORMAT}.")
    return Purge(document["database"], tuple(parse_plan(one) for one in document["plans"]))
