"""A good backup is proven on every level, recorded, and leaves nothing behind."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import text

from strongroom.access import Actor, Role
from strongroom.access.actor import ActorKind
from strongroom.backup.verification import (
    BackupMissingError,
    ExpectationFileError,
    Proof,
    RestoreVerifier,
    Status,
    VerificationChecks,
    read_proof,
)
from strongroom.catalog import ProofRepository, open_engine
from strongroom.errors import AccessDeniedError
from tests.integration.verification.place import ACTOR, Place

SUITE = """\
- table: public.customer
  expectations:
    - {type: expect_column_values_to_be_unique, kwargs: {column: customer_id}}
    - {type: expect_column_values_to_match_regex, kwargs: {column: email, regex: "@example[.]org$"}}
- table: public.orders
  expectations:
    - {type: expect_table_row_count_to_equal, kwargs: {value: 2000}}
"""
SMOKE = ("select count(*) > 4000 from public.customer", "select true from public.orders limit 1")


def _checks(place: Place, suite: str = SUITE, **more: object) -> VerificationChecks:
    path = place.directory / "shop.yaml"
    path.write_text(suite)
    return VerificationChecks(expectations=path, policy_sha256="ab" * 32, **more)  # type: ignore[arg-type]


def _check(proof: Proof, name: str) -> tuple[Status, str]:
    return next(
        (check.status, check.detail) for level in proof.levels for check in level.checks if check.name == name
    )


def test_a_good_backup_is_proven_on_every_level_and_the_proof_is_kept(place: Place) -> None:
    proof = place.verify(_checks(place, smoke_sql=SMOKE))

    assert proof.problems() == []
    assert [(level.level, level.status) for level in proof.levels] == [
        (f"L{number}", Status.PASSED) for number in range(6)
    ]
    assert proof.proven
    assert proof.rto_seconds is not None
    assert proof.rpo_seconds is not None
    assert 0 < proof.rpo_seconds < 600
    assert ("public", "cache") in {(table.schema, table.table) for table in proof.not_comparable}
    assert read_proof(place.store.get_bytes(proof.key), place.signer.verifier) == proof
    engine = open_engine(place.control_url)
    with engine.connect() as connection:
        record = ProofRepository().latest(connection, place.backup_id)
        entries = (
            connection.execute(text("SELECT convert_from(entry, 'UTF8') FROM audit_queue")).scalars().all()
        )
    engine.dispose()
    assert (record.result, record.proof_key) == ("proven", proof.key)
    runs = [entry for entry in entries if '"verification:run:execute"' in entry]
    assert any('"phase":"attempt"' in entry for entry in runs)
    assert any('"outcome":"success"' in entry for entry in runs)


def test_expectations_that_are_not_met_unknown_or_misused_fail_with_their_line(place: Place) -> None:
    suite = """\
- table: public.orders
  expectations:
    - {type: expect_table_row_count_to_equal, kwargs: {value: 2000}}
    - {type: expect_column_values_to_be_between, kwargs: {column: total, max_value: 10}}
    - {type: expect_column_values_to_be_uniqe, kwargs: {column: order_id}}
    - {type: expect_column_values_to_be_unique, kwargs: {colum: order_id}}
"""
    proof = place.verify(_checks(place, suite))
    status, detail = _check(proof, "expectations")
    assert status is Status.FAILED
    assert not proof.proven
    assert "shop.yaml:4: not met: public.orders(total) expect_column_values_to_be_between" in detail
    assert "shop.yaml:5: Great Expectations has no expect_column_values_to_be_uniqe" in detail
    assert "Did you mean expect_column_values_to_be_unique?" in detail
    assert "shop.yaml:6: expect_column_values_to_be_unique cannot be used so" in detail
    assert "shop.yaml:3" not in detail


def test_expectations_about_a_table_that_is_not_there_and_queries_that_do_not_hold_fail(place: Place) -> None:
    suite = SUITE.replace("public.orders", "public.invoice")
    queries = ("select false", "delete from public.orders returning true", "select nothing", "select 1")
    proof = place.verify(_checks(place, suite, smoke_sql=queries, amcheck=False, fingerprints="none"))
    assert "shop.yaml:7: there is no table public.invoice" in _check(proof, "expectations")[1]
    assert _check(proof, "smoke SQL 1")[0] is Status.FAILED
    assert "may only read" in _check(proof, "smoke SQL 2")[1]
    assert "refused" in _check(proof, "smoke SQL 3")[1]
    assert "not true" in _check(proof, "smoke SQL 4")[1]
    off = [check for level in proof.levels for check in level.checks if check.by_policy]
    assert {check.name for check in off} == {"amcheck", "fingerprints"}


def test_a_wrong_file_of_expectations_is_found_before_anything_is_fetched(place: Place) -> None:
    with pytest.raises(ExpectationFileError, match=r"shop\.yaml:2"):
        place.verify(_checks(place, "- table: public.orders\n  expectation: []\n"))


def test_an_actor_who_may_not_verify_is_refused_and_that_is_recorded(place: Place) -> None:
    auditor = Actor("someone", ActorKind.TASK, frozenset({Role.AUDITOR}))
    with pytest.raises(AccessDeniedError, match="verify backup"):
        place.verify(actor=auditor)
    engine = open_engine(place.control_url)
    with engine.connect() as connection:
        query = "SELECT convert_from(entry, 'UTF8') FROM audit_queue ORDER BY id DESC LIMIT 1"
        [entry] = connection.execute(text(query)).scalars().all()
    engine.dispose()
    assert '"access:permission:refuse"' in entry


def test_a_backup_that_does_not_exist_is_not_found(place: Place, tmp_path: Path) -> None:
    parts = place.parts(place.provider)
    verifier = RestoreVerifier(parts)
    with pytest.raises(BackupMissingError, match="20200101T000000Z-0000"):
        verifier.verify_checks(ACTOR, "shop", VerificationChecks(), "20200101T000000Z-0000")
    with pytest.raises(BackupMissingError, match="backup run warehouse"):
        verifier.verify_checks(ACTOR, "warehouse", VerificationChecks())
    parts.engine.dispose()
