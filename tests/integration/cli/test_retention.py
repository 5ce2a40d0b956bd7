"""`strongroom retention` at the command line."""

from __future__ import annotations


def test_a_plan_is_printed_for_a_person_to_sign_and_carried_out_by_its_hash(installation):
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


def test_a_hash_that_no_plan_has_is_not_carried_out(installation):
    refused = installation.run("retention", "apply", "shop", "--plan-hash", "0" * 64)
    assert refused.returncode == 4
    assert "retention plan DATABASE" in refused.stderr
