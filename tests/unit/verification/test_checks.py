"""What a policy says about proof reaches the verification, whole."""

from __future__ import annotations

from pathlib import Path

from strongroom.backup.verification.expectations import load_expectations
from strongroom.backup.verification.verifier import checks_of
from strongroom.policy import load_policy
from tests.support import REPOSITORY


def test_the_sample_shops_policy_names_checks_that_exist() -> None:
    policy = load_policy(REPOSITORY / "include/policy/shop.yaml")
    checks = checks_of(policy, REPOSITORY / "include/expectations")
    assert checks.expectations == Path(REPOSITORY / "include/expectations/shop.yaml")
    assert load_expectations(checks.expectations).expectations
    assert checks.fingerprints == policy.verify.fingerprint
    assert checks.smoke_sql == policy.verify.smoke_sql
    assert checks.policy_sha256 == policy.sha256
