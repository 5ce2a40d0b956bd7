"""`strongroom retention` at the command line."""

from __future__ import annotations

import re

import pytest

from tests.support import REPOSITORY


@pytest.fixture
def without_row_rules(installation, tmp_path):
    """The installation with a policy that sets no time for rows, so that nothing of the sample is over."""
    policy = (REPOSITORY / "include/policy/shop.yaml").read_text()
    (tmp_path / "shop.yaml").write_text(re.sub(r"\n    retain: [^\n]*", "", policy))
    installation.configure(policy_directory=str(tmp_path))
    yield installation
    installation.configure()


def test_a_plan_is_printed_for_a_person_to_sign_and_carried_out_by_its_hash(without_row_rules):
    installation = without_row_rules
    printed = installation.run("retention", "plan", "shop")
    assert printed.returncode == 0, printed.stderr
    assert printed.stdout.startswith("# Retention plan for shop\n")
    assert "it is one of the 3 newest backups" in printed.stdout
    planned = installation.json("retention", "plan", "shop")
    backup = next(one for one in planned["purge"]["plans"][0]["decisions"] if one["kind"] == "backup")
    assert backup["action"] == "keep"
    shown = installation.json("retention", "show", "shop")
    assert shown["sha256"] == planned["sha256"]

    applied = installation.json("retention", "apply", "shop", "--plan-hash", planned["sha256"])

    assert applied["counts"]["deleted"] == 0
    assert installation.run("verify", "run", "shop").returncode == 0, "and the backup still restores"


def test_rows_of_the_sample_whose_time_is_over_are_in_the_plan(installation):
    planned = installation.json("retention", "plan", "shop")
    rows = [one for one in planned["purge"]["plans"][0]["decisions"] if one["kind"] == "rows"]

    marked = [one for one in rows if one["item"].startswith("rows/public.login_event/")]
    assert {one["action"] for one in marked} == {"mark"}
    waiting = [one for one in rows if one["item"].startswith("rows/public.customer/")]
    assert {one["action"] for one in waiting} <= {"keep"}
    assert all("an erasure request does" in one["reason"] for one in waiting)
    refused = installation.run("retention", "apply", "shop", "--plan-hash", planned["sha256"])
    assert refused.returncode == 5, "the first purge needs a second person"


def test_a_hash_that_no_plan_has_is_not_carried_out(installation):
    refused = installation.run("retention", "apply", "shop", "--plan-hash", "0" * 64)
    assert refused.returncode == 4
    assert "retention plan DATABASE" in refused.stderr
