"""Legal holds at the command line: placed by one account, released by two."""

import json
import os
import subprocess
import sys

import pytest

from tests.support import REPOSITORY

AS_SOMEBODY = """
import os, pwd, sys
from strongroom.cli import context
name = sys.argv.pop(1)
pwd.getpwuid = lambda number: pwd.struct_passwd((name, "x", number, number, "", "/", "/bin/sh"))
from strongroom.cli.app import main
main()
"""


@pytest.fixture
def as_account(installation):
    """Runs `strongroom` as another account of the machine would."""

    def run(name, *arguments):
        return subprocess.run(
            [sys.executable, "-c", AS_SOMEBODY, name, *arguments],
            env={
                "PATH": os.environ["PATH"],
                "PYTHONPATH": str(REPOSITORY / "include"),
                "STRONGROOM_SETTINGS": str(installation.folder / "settings.yaml"),
                "LOGNAME": "mallory",
            },
            capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip

    return run


def test_one_account_places_a_hold_and_two_release_it(installation, as_account):
    placed = as_account("ada", "hold", "place", "shop", "--reason", "case-2026-114", "--json")
    assert placed.returncode == 0, placed.stderr
    hold = json.loads(placed.stdout)
    assert hold["placed_by"] == "ada"
    (listed,) = installation.json("hold", "list")
    assert listed["id"] == hold["id"]
    asked = as_account("ada", "hold", "release", hold["id"], "--json")
    plan_hash = json.loads(asked.stdout)["plan_sha256"]
    own = as_account("ada", "hold", "release", hold["id"], "--plan-hash", plan_hash)
    assert (own.returncode, "cannot approve it too" in own.stderr) == (5, True)
    asked = as_account("ada", "hold", "release", hold["id"])
    assert plan_hash in asked.stdout
    done = as_account("grace", "hold", "release", hold["id"], "--plan-hash", plan_hash)
    assert done.returncode == 0, done.stderr
    assert installation.json("hold", "list") == []
    (released,) = installation.json("hold", "list", "--all")
    assert released["released_at"]
    assert "No legal hold stands." in installation.run("hold", "list").stdout


def test_an_approval_that_nobody_asked_for_releases_nothing(installation, as_account):
    placed = as_account("ada", "hold", "place", "shop", "--reason", "case-1", "--json")
    hold = json.loads(placed.stdout)["id"]
    done = as_account("grace", "hold", "release", hold, "--plan-hash", "0" * 64)
    assert (done.returncode, "Nobody is known to have asked" in done.stderr) == (5, True)
    assert [one["id"] for one in installation.json("hold", "list")] == [hold]


def test_a_directory_has_no_locks_and_that_is_said(installation):
    placed = installation.run("hold", "place", "shop", "--reason", "case-2")
    assert "Strongroom alone keeps to them" in placed.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--reason", "about Ada Lovelace"], "reference of its case"),
        (["--reason", "c-1", "--since", "2026-01-01"], "time zone"),
        (["--reason", "c-1", "--since", "2026-01-01T00:00:00Z"], "since, until"),
        (["--reason", "c-1", "--table", "public.orders", "--backup", "x"], "one thing"),
        (["--reason", "c-1", "--person", "ada@example.org"], "keyed hash"),
    ],
)
def test_what_cannot_be_held_is_refused_with_the_reason(installation, arguments, message):
    done = installation.run("hold", "place", "shop", *arguments)
    assert (done.returncode, message in done.stderr) == (2, True), done.stderr


def test_a_hold_on_a_database_without_a_policy_is_a_mistake(installation):
    assert installation.run("hold", "place", "shpo", "--reason", "c-1").returncode == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--table", "public.order"], "knows the table public.order"),
        (["--backup", "20200101T000000Z-abcd"], "There is no backup 20200101T000000Z-abcd of shop"),
    ],
)
def test_a_hold_on_what_is_not_there_is_refused_since_it_would_keep_nothing(installation, arguments, message):
    done = installation.run("hold", "place", "shop", "--reason", "c-1", *arguments)
    assert (done.returncode, message in done.stderr) == (4, True), done.stderr
    assert [one for one in installation.json("hold", "list") if one["reason"] == "c-1"] == []
