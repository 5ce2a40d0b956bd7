"""Which checks a database's policy wants."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Fingerprints = Literal["all", "none"] | tuple[str, ...]


@dataclass(frozen=True)
class VerificationChecks:
    """What the policy's `verify` part asks for.

    Args:
        expectations: the file of business checks; None where the policy names none.
        amcheck: whether heaps and indexes are checked with `pg_amcheck`.
        fingerprints: `all`, `none`, or the tables (`schema.table`) whose content is compared.
        smoke_sql: queries whose first column of the first row must be true.
        random_point: whether a random moment of the shipped WAL is restored too.
        dbname: the database inside the server that expectations and queries are about; None looks for one.
        policy_sha256: the policy's hash, for the proof.
    """

    expectations: Path | None = None
    amcheck: bool = True
    fingerprints: Fingerprints = "all"
    smoke_sql: tuple[str, ...] = ()
    random_point: bool = False
    dbname: str | None = None
    policy_sha256: str | None = None
    smoke_timeout_seconds: int = 300
