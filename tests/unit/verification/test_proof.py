"""A proof says what was found, cannot be altered, and never takes a check that was not made for one that was."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from strongroom.backup.verification import (
    Check,
    LevelResult,
    Measures,
    NotComparable,
    NotProvenError,
    Proof,
    ProofError,
    Status,
    read_proof,
    render_text,
)
from strongroom.canonical import canonical_bytes
from strongroom.signing import SignatureError, SignerKey

NOW = datetime(2026, 11, 24, 2, 0, tzinfo=UTC)
PASSED = Check("c", Status.PASSED, "fine", {"tables": 3})


def _level(name: str, *checks: Check) -> LevelResult:
    return LevelResult(name, f"level {name}", NOW, 1.5, checks or (PASSED,))


def _proof(**changes: LevelResult) -> Proof:
    levels = {name: _level(name) for name in ("L0", "L1", "L2", "L3", "L4", "L5")}
    return Proof(
        database="shop",
        backup_id="20261124T010000Z-abcd",
        manifest_sha256="0" * 64,
        policy_sha256=None,
        levels=tuple({**levels, **changes}.values()),
        restore=Measures(2.0, 0.5, NOW - timedelta(seconds=90), 1000),
        not_comparable=(NotComparable("shop", "public", "audit", "changed while the backup ran"),),
        server_version="18.6",
        software={"strongroom": "0.1.0"},
        host="worker",
        verified_at=NOW,
    )


def test_a_proof_survives_being_stored() -> None:
    signer = SignerKey.generate("test")
    proof = _proof()
    assert read_proof(proof.signed(signer), signer.verifier) == proof
    assert proof.proven
    assert (proof.rto_seconds, proof.rpo_seconds) == (2.5, 90.0)
    assert proof.key == "proofs/shop/20261124T010000Z-abcd/20261124T020000.000000Z.json"


def test_an_altered_proof_is_refused() -> None:
    signer = SignerKey.generate("test")
    document = json.loads(_proof().signed(signer))
    document["levels"][3]["checks"][0]["detail"] = "better than it was"
    with pytest.raises(SignatureError):
        read_proof(canonical_bytes(document), signer.verifier)


def test_a_result_that_the_levels_do_not_support_is_refused() -> None:
    signer = SignerKey.generate("test")
    document = _proof(L4=_level("L4", Check("amcheck", Status.FAILED, "broken"))).document()
    with pytest.raises(ProofError, match="do not support"):
        read_proof(canonical_bytes(signer.sign_json({**document, "result": "proven"})), signer.verifier)


def test_another_format_is_refused() -> None:
    signer = SignerKey.generate("test")
    document = {**_proof().document(), "format": "strongroom/backup-proof/v9"}
    with pytest.raises(ProofError, match="v9"):
        read_proof(canonical_bytes(signer.sign_json(document)), signer.verifier)


@pytest.mark.parametrize("status", [Status.FAILED, Status.SKIPPED])
def test_one_check_that_failed_or_was_left_out_keeps_a_backup_from_being_proven(status: Status) -> None:
    proof = _proof(L5=_level("L5", PASSED, Check("fingerprints", status, "why")))
    assert not proof.proven
    assert [level for level, _ in proof.problems()] == ["L5"]
    assert "fingerprints: why" in str(NotProvenError.of(proof))


def test_a_check_that_the_policy_switched_off_does_not_stand_against_the_backup() -> None:
    off = Check("amcheck", Status.SKIPPED, "switched off", by_policy=True)
    assert _proof(L4=_level("L4", PASSED, off)).proven


def test_a_level_that_was_not_climbed_keeps_a_backup_from_being_proven() -> None:
    proof = _proof()
    assert not replace(proof, levels=proof.levels[:-1]).proven
    assert not _proof(L5=LevelResult("L5", "empty", NOW, 0.0, ())).proven


def test_the_text_says_the_verdict_first_and_names_every_check() -> None:
    text = render_text(_proof(L4=_level("L4", Check("amcheck", Status.FAILED, "corruption found in i"))))
    assert text.startswith("Backup 20261124T010000Z-abcd of shop: FAILED")
    assert "FAILED    amcheck: corruption found in i" in text
    assert "time to restore 2.5 s" in text
    assert "shop.public.audit: changed while the backup ran" in text
