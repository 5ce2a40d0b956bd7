"""A proof as plain text, for a terminal, a log or a mail."""

from __future__ import annotations

from strongroom.backup.verification.proof import LevelResult, Measures, Proof, Status

_MARKS = {
    Status.PASSED: "ok",
    Status.FAILED: "FAILED",
    Status.SKIPPED: "SKIPPED",
    Status.NOT_APPLICABLE: "n/a",
}


def render_text(proof: Proof) -> str:
    """The proof in lines that a person can read: the verdict first, then each level with its checks."""
    where = f" in the copy {proof.copy}" if proof.copy else ""
    lines = [
        f"Backup {proof.backup_id} of {proof.database}{where}: {proof.result.upper()}",
        f"verified {proof.verified_at:%Y-%m-%d %H:%M:%S} UTC on {proof.host}, PostgreSQL {proof.server_version}",
        *_measure_lines(proof),
        "",
    ]
    for level in proof.levels:
        lines += _level_lines(level)
    if proof.not_comparable:
        lines += ["", "Not comparable (these tables were restored; their content was not compared):"]
        lines += [
            f"  {table.database}.{table.schema}.{table.table}: {table.reason}"
            for table in proof.not_comparable
        ]
    return "\n".join(lines) + "\n"


def _measure_lines(proof: Proof) -> list[str]:
    measures = proof.restore
    lines = []
    if proof.rto_seconds is not None:
        lines.append(
            f"time to restore {proof.rto_seconds:.1f} s"
            f" (fetch and unpack {measures.fetch_and_unpack_seconds or 0:.1f} s,"
            f" recovery {measures.recovery_seconds or 0:.1f} s)"
        )
    if proof.rpo_seconds is not None and measures.restored_to is not None:
        lines.append(
            f"data-loss window {proof.rpo_seconds:.0f} s"
            f" (restored to {measures.restored_to:%Y-%m-%d %H:%M:%S} UTC{_archived(measures)})"
        )
    return lines


def _archived(measures: Measures) -> str:
    if measures.covered_until is None:
        return ""
    return f", the log is archived up to {measures.covered_until:%Y-%m-%d %H:%M:%S} UTC"


def _level_lines(level: LevelResult) -> list[str]:
    lines = [f"{level.level}  {_MARKS[level.status]:<8} {level.title} ({level.seconds:.1f} s)"]
    for check in level.checks:
        mark = "off" if check.by_policy else _MARKS[check.status]
        detail = check.detail.replace("\n", "\n" + " " * 16)
        lines.append(f"      {mark:<9} {check.name}: {detail}")
    return lines
