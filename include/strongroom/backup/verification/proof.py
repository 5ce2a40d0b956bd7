"""A proof: what was restored, what was checked on which level, and what came of it. Signed JSON.

    {"format": "strongroom/backup-proof/v1", "result": "proven" | "failed",
     "database": ..., "backup_id": ..., "manifest_sha256": <hex>, "policy_sha256": <hex> | null,
     "levels": [{"level": "L0", "title": ..., "status": ..., "started_at": ..., "seconds": ...,
                 "checks": [{"name": ..., "status": ..., "detail": ..., "by_policy": ..., "counts": {...}}]}],
     "rto_seconds": ... | null, "rpo_seconds": ... | null,
     "restore": {"fetch_and_unpack_seconds": ..., "recovery_seconds": ...,
                 "restored_to": <RFC 3339> | null, "restored_bytes": ...,
                 "covered_until": <RFC 3339>, "random_point": <RFC 3339>},      the last two where there are such
     "not_comparable": [{"database": ..., "schema": ..., "table": ..., "reason": ...}],
     "server_version": ..., "software": {...}, "host": ..., "verified_at": ..., "signature": {...}}

A proof of a copy also has `"copy"`, the copy's name. It says nothing of the backup in the store itself.

A status is `passed`, `failed`, `skipped` or `not_applicable`. A backup is proven when every level of the ladder
was climbed and nothing failed; a check that could not be made is `skipped` and then the backup is not proven,
unless the policy itself switched that check off (`by_policy`). No row's value stands in a proof.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from enum import StrEnum

from strongroom.backup.verification.errors import ProofError
from strongroom.canonical import JsonObject, canonical_bytes, parse_object
from strongroom.catalog import ProofRecord
from strongroom.clock import parse_timestamp, timestamp
from strongroom.signing import SignerKey, VerifierKey, verify_json

PROOF_FORMAT = "strongroom/backup-proof/v1"
REQUIRED_LEVELS = ("L0", "L1", "L2", "L3", "L4", "L5")
"""Without every one of these a backup is not proven."""


class Status(StrEnum):
    """How a check or a level ended."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"
    NOT_APPLICABLE = "not_applicable"


@dataclass(frozen=True)
class Check:
    """One thing that was looked at."""

    name: str
    status: Status
    detail: str
    """A sentence; for a failed check, also what to do next."""
    counts: Mapping[str, int] = field(default_factory=dict)
    by_policy: bool = False
    """The policy switched this check off, so its absence does not stand against the backup."""


@dataclass(frozen=True)
class LevelResult:
    """One level of the ladder."""

    level: str
    title: str
    started_at: datetime
    seconds: float
    checks: tuple[Check, ...]

    @property
    def status(self) -> Status:
        """Failed if anything failed; skipped if anything was left out without the policy's word."""
        states = {check.status for check in self.checks}
        left_out = any(check.status is Status.SKIPPED and not check.by_policy for check in self.checks)
        if Status.FAILED in states:
            return Status.FAILED
        if left_out or not self.checks:
            return Status.SKIPPED
        return Status.PASSED if Status.PASSED in states else Status.NOT_APPLICABLE


@dataclass(frozen=True)
class Measures:
    """What the restore took, and how far it reached.

    Args:
        fetch_and_unpack_seconds: fetching, hashing, decrypting, decompressing and writing all objects, in one
            pass, from the first byte that was fetched.
        recovery_seconds: starting the server and replaying its log, until it answers queries.
        restored_to: the restore point's own time, as the restored log gives it.
        restored_bytes: what was written.
        covered_until: up to when the archived log continues the backup without a hole, by the source's clock.
        random_point: the random moment that was restored too, where the policy wants that.
    """

    fetch_and_unpack_seconds: float | None = None
    recovery_seconds: float | None = None
    restored_to: datetime | None = None
    restored_bytes: int | None = None
    covered_until: datetime | None = None
    random_point: datetime | None = None


@dataclass(frozen=True)
class NotComparable:
    """A table whose fingerprint says nothing, because it changed while the backup ran (or the like)."""

    database: str
    schema: str
    table: str
    reason: str


@dataclass(frozen=True)
class Proof:
    """The outcome of one verification."""

    database: str
    backup_id: str
    manifest_sha256: str
    policy_sha256: str | None
    levels: tuple[LevelResult, ...]
    restore: Measures
    not_comparable: tuple[NotComparable, ...]
    server_version: str
    software: Mapping[str, str]
    host: str
    verified_at: datetime
    copy: str | None = None
    """The copy that was restored from; None for the store itself."""

    @property
    def proven(self) -> bool:
        """Whether every required level was climbed and nothing failed."""
        states = {level.level: level.status for level in self.levels}
        good = {Status.PASSED, Status.NOT_APPLICABLE}
        return all(states.get(name) in good for name in REQUIRED_LEVELS) and set(states.values()) <= good

    @property
    def result(self) -> str:
        """`proven` or `failed`."""
        return "proven" if self.proven else "failed"

    @property
    def rto_seconds(self) -> float | None:
        """The time to restore that was measured: from the first fetched byte to a server that answers queries.

        The sum of fetching and recovery; the checks between and after the two are not in it.
        """
        parts = (self.restore.fetch_and_unpack_seconds, self.restore.recovery_seconds)
        return None if None in parts else sum(part for part in parts if part is not None)

    @property
    def rpo_seconds(self) -> float | None:
        """The data-loss window: had the source been lost now, changes of that many seconds would be lost.

        Counted from the backup's restore point, or from where the archived log that continues it ends.
        """
        known = [self.restore.restored_to, self.restore.covered_until]
        moment = max((item for item in known if item is not None), default=None)
        return None if moment is None else max(0.0, (self.verified_at - moment).total_seconds())

    @property
    def key(self) -> str:
        """Where the proof stands in the bucket."""
        copy, database = self.copy, self.database
        prefix = f"proofs/{database}/" if copy is None else copy_proofs_prefix(copy, database)
        return f"{prefix}{self.backup_id}/{self.verified_at:%Y%m%dT%H%M%S.%fZ}.json"

    def record(self) -> ProofRecord:
        """Its row in the control database."""
        return ProofRecord(
            proof_key=self.key,
            database=self.database,
            backup_id=self.backup_id,
            result=self.result,
            verified_at=self.verified_at,
            rto_seconds=self.rto_seconds,
            rpo_seconds=self.rpo_seconds,
            levels={level.level: str(level.status) for level in self.levels},
        )

    def problems(self) -> list[tuple[str, Check]]:
        """What keeps the backup from being proven: level and check."""
        bad = (Status.FAILED, Status.SKIPPED)
        return [
            (level.level, check)
            for level in self.levels
            for check in level.checks
            if check.status in bad and not check.by_policy
        ]

    def lines(self) -> list[str]:
        """The proof as plain text, line by line."""
        from strongroom.backup.verification.text import render_text

        return render_text(self).splitlines()

    def document(self) -> JsonObject:
        """The proof as JSON, without a signature."""
        return {
            "format": PROOF_FORMAT,
            "result": self.result,
            "database": self.database,
            "backup_id": self.backup_id,
            "manifest_sha256": self.manifest_sha256,
            "policy_sha256": self.policy_sha256,
            "levels": [_level_document(level) for level in self.levels],
            "rto_seconds": _rounded(self.rto_seconds),
            "rpo_seconds": _rounded(self.rpo_seconds),
            "restore": _measures_document(self.restore),
            "not_comparable": [asdict(table) for table in self.not_comparable],
            "server_version": self.server_version,
            "software": dict(self.software),
            "host": self.host,
            "verified_at": timestamp(self.verified_at),
            **({"copy": self.copy} if self.copy is not None else {}),
        }

    def signed(self, signer: SignerKey) -> bytes:
        """The proof as it is stored: canonical JSON with its signature."""
        return canonical_bytes(signer.sign_json(self.document()))


def copy_proofs_prefix(copy: str, database: str) -> str:
    """Where the proofs of a copy's backups stand in the store."""
    return f"copies/{copy}/proofs/{database}/"


def read_proof(data: bytes, trusted: VerifierKey, what: str = "The proof") -> Proof:
    """A stored proof, once its signature has been checked.

    Raises:
        SignatureError: unsigned, altered or signed by another key.
        ProofError: not a proof of this format, or its result contradicts its levels.
        IntegrityError: not JSON.
    """
    document = verify_json(parse_object(data, what), trusted, what)
    if document.get("format") != PROOF_FORMAT:
        raise ProofError(
            f"{what} has the format {str(document.get('format'))[:60]!r}, not {PROOF_FORMAT}.",
            hint="A later version may have written it; read it with that one.",
        )
    try:
        proof = _from_document(document)
    except (KeyError, TypeError, ValueError) as error:
        raise ProofError(f"{what} lacks a member or holds a wrong one: {error}") from error
    if proof.result != document["result"]:
        raise ProofError(f"{what} says {document['result']!r}, which its levels do not support.")
    return proof


def document_sha256(data: bytes) -> str:
    """SHA-256 of a stored document's bytes, in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def _level_document(level: LevelResult) -> JsonObject:
    return {
        "level": level.level,
        "title": level.title,
        "status": str(level.status),
        "started_at": timestamp(level.started_at),
        "seconds": round(level.seconds, 3),
        "checks": [
            {**asdict(check), "status": str(check.status), "counts": dict(check.counts)}
            for check in level.checks
        ],
    }


def _measures_document(measures: Measures) -> JsonObject:
    moment = measures.restored_to
    return {
        "fetch_and_unpack_seconds": _rounded(measures.fetch_and_unpack_seconds),
        "recovery_seconds": _rounded(measures.recovery_seconds),
        "restored_to": timestamp(moment) if moment else None,
        "restored_bytes": measures.restored_bytes,
        **{
            name: timestamp(value)
            for name in ("covered_until", "random_point")
            if (value := getattr(measures, name)) is not None
        },
    }


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)


def _from_document(document: JsonObject) -> Proof:
    restore = dict(document["restore"])
    for name in ("restored_to", "covered_until", "random_point"):
        if restore.get(name) is not None:
            restore[name] = parse_timestamp(restore[name])
    return Proof(
        database=document["database"],
        backup_id=document["backup_id"],
        manifest_sha256=document["manifest_sha256"],
        policy_sha256=document["policy_sha256"],
        levels=tuple(_level_from(level) for level in document["levels"]),
        restore=Measures(**restore),
        not_comparable=tuple(NotComparable(**table) for table in document["not_comparable"]),
        server_version=document["server_version"],
        software=document["software"],
        host=document["host"],
        verified_at=parse_timestamp(document["verified_at"]),
        copy=document.get("copy"),
    )


def _level_from(document: JsonObject) -> LevelResult:
    return LevelResult(
        level=document["level"],
        title=document["title"],
        started_at=parse_timestamp(document["started_at"]),
        seconds=float(document["seconds"]),
        checks=tuple(Check(**{**check, "status": Status(check["status"])}) for check in document["checks"]),
    )
