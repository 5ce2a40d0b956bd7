"""Logical backups on the command line: the policy asks for them, and a table comes back beside the living one."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from strongroom.postgres import connect
from tests.integration.cli.conftest import Installation
from tests.support import REPOSITORY


@pytest.fixture
def logical(installation: Installation, tmp_path: Path) -> Installation:
    """The installation with a policy that asks for logical backups."""
    policies = tmp_path / "policy"
    shutil.copytree(REPOSITORY / "include" / "policy", policies)
    lines = (policies / "shop.yaml").read_text().splitlines(keepends=True)
    text = "".join(line for line in lines if not line.startswith(("  wal:", "  full_every:")))
    (policies / "shop.yaml").write_text(text.replace("method: physical", "method: logical"))
    installation.configure(policy_directory=str(policies))
    return installation


def test_a_logical_backup_is_taken_proven_and_a_table_of_it_restored(logical: Installation) -> None:
    backup = logical.json("backup", "run", "shop")
    assert logical.json("backup", "show", backup["backup_id"])["method"] == "logical"
    proof = logical.json("verify", "run", "shop")
    assert (proof["backup_id"], proof["result"]) == (backup["backup_id"], "proven")
    held = logical.json("restore", "contents", "shop")
    assert "customer" in {table["name"] for table in held["tables"]}

    arguments = ["restore", "tables", "shop", "--table", "public.customer", "--into-conn", "shop"]
    result = logical.json(*arguments, "--schema", "last_night")
    assert (result["compared"], result["target"]) == (1, "last_night")
    with connect(logical.shop.conninfo("shop"), application_name="test") as connection:
        rows = connection.execute(
            "SELECT (SELECT count(*) FROM last_night.customer), (SELECT count(*) FROM public.customer)"
        ).fetchone()
    assert rows is not None
    assert rows[0] == rows[1] > 0
    again = logical.run(*arguments, "--schema", "last_night")
    assert again.returncode == 5
    assert "never goes over" in again.stderr

    planned = logical.json("restore", "plan", *arguments[2:], "--schema", "planned", "--as", "buyer")
    plan_file = logical.folder / "plan.json"
    plan_file.write_text(json.dumps(planned))
    other = logical.run("restore", "run", "shop", "--plan", str(plan_file), "--plan-hash", "0" * 64)
    assert (other.returncode, "not the plan that was approved" in other.stderr) == (5, True)
    done = logical.json("restore", "run", "shop", "--plan", str(plan_file), "--plan-hash", planned["sha256"])
    assert (done["plan_sha256"], done["target"]) == (planned["sha256"], "planned")
    with connect(logical.shop.conninfo("shop"), application_name="test") as connection:
        assert connection.execute("SELECT count(*) FROM planned.buyer").fetchone() == rows[:1]

    whole_plan = logical.run("restore", "plan", "shop", "--into-conn", "shop", "--name", "shop_again")
    for words in ("the whole database", "it was restored and proven", "measured by 1 proof", "plan hash"):
        assert words in whole_plan.stdout, whole_plan.stderr
    whole = logical.run("restore", "database", "shop", "--into-conn", "shop", "--name", "shop_again")
    assert whole.returncode == 0, whole.stderr
    assert "into the new database shop_again" in whole.stdout


def test_what_is_wrong_with_a_restore_is_told_with_its_status(logical: Installation) -> None:
    into = ["--into-conn", "shop", "--schema", "x"]
    missing = logical.run("restore", "tables", "shop", "--table", "public.custmer", *into)
    assert missing.returncode == 4
    assert "Did you mean public.customer" in missing.stderr
    assert logical.run("restore", "tables", "shop", "--table", "customer", *into).returncode == 2
    unknown = ["restore", "tables", "shop", "--table", "public.customer", "--into-conn", "nowhere"]
    assert logical.run(*unknown, "--schema", "x").returncode == 2


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--into-conn", "shop"], "into a new database or into a new schema"),
        (["--into-conn", "shop", "--name", "x", "--table", "public.customer"], "are for tables"),
        (["--into-conn", "shop", "--name", "x", "--latest"], "two kinds of restores"),
        (["--into", "/tmp/x", "--latest", "--schema", "x"], "two kinds of restores"),
        (["--schema", "x", "--table", "public.customer"], "needs a server"),
    ],
)
def test_a_plan_is_of_one_kind(installation: Installation, options: list[str], words: str) -> None:
    refused = installation.run("restore", "plan", "shop", *options)
    assert (refused.returncode, words in refused.stderr) == (2, True)
