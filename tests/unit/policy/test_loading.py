from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from strongroom.policy import (
    PolicyError,
    PolicyFileError,
    PolicyNotFoundError,
    load_policies,
    load_policy,
)
from tests.support import REPOSITORY
from tests.unit.policy.support import HEAD, loaded, mistakes, write


def test_the_smallest_policy_has_sensible_defaults(tmp_path: Path) -> None:
    policy = loaded(tmp_path, HEAD)

    assert (policy.backup.method, policy.backup.timezone) == ("physical", "UTC")
    assert policy.backup.recipients == ("epoch", "escrow")
    assert (policy.backup.keep.last, policy.backup.keep.proven) == (3, 2)
    assert (policy.verify.fingerprint, policy.verify.amcheck) == ("all", True)


def test_every_mistake_of_a_file_is_named_at_once_with_its_place_and_a_suggestion(tmp_path: Path) -> None:
    text = """\
database: shop
controler: {name: X}
backup:
  method: phisical
  schedule: "0 25 * * *"
  keep: {proven: 0, last: yes}
  lock: {mode: compliance}
  schedul: x
verify:
  amcheck: yes
  fingerprint: al
  smoke_sql: select 1
tables:
  public.customer:
    columns:
      email: {category: user.contact.emial, erase: random_emial}
    retain: {for: 6, from: a, then: erase_subjct}
  customers: {exempt: }
keep: {last: 3}
"""
    assert mistakes(tmp_path, text) == [
        "shop.yaml:1:1: the key 'controller' is missing",
        "shop.yaml:2:1: unknown key 'controler'; did you mean 'controller'?",
        "shop.yaml:4:11: backup.method: must be physical or logical, not 'phisical'; did you mean 'physical'?",
        "shop.yaml:5:13: backup.schedule: '25' is no hour of a cron schedule: it goes from 0 to 23",
        "shop.yaml:6:18: backup.keep.proven: must be at least 1, not 0",
        "shop.yaml:6:27: backup.keep.last: must be a whole number, not 'yes'",
        "shop.yaml:7:3: backup.lock: the key 'days' is missing",
        "shop.yaml:8:3: backup: unknown key 'schedul'; did you mean 'schedule'?",
        "shop.yaml:10:12: verify.amcheck: must be true or false, not 'yes'; did you mean true?",
        "shop.yaml:11:16: verify.fingerprint: must be all, none or a list of tables, not 'al'; "
        "did you mean 'all'?",
        "shop.yaml:12:14: verify.smoke_sql: must be a list, not 'select 1'; write [select 1]",
        "shop.yaml:16:25: tables[\"public.customer\"].columns.email.category: 'user.contact.emial' is not a "
        "category of the fideslang taxonomy; did you mean 'user.contact.email'?",
        "shop.yaml:16:52: tables[\"public.customer\"].columns.email.erase: 'random_emial' is not a way to erase; "
        "did you mean 'random_email'? A text of your own needs a sign that is no letter, as in "
        '"[random_emial]"',
        "shop.yaml:17:19: tables[\"public.customer\"].retain.for: 6 is not a duration; write it like '6y', '3mo', "
        "'14d', '2h' or '5m'",
        'shop.yaml:17:37: tables["public.customer"].retain.then: must be delete, erase_subject or archive, not '
        "'erase_subjct'; did you mean 'erase_subject'?",
        "shop.yaml:18:3: tables.customers: 'customers' is not a table with its schema; write schema.table, and "
        'in double quotes what is not in small letters, as in public."Order Details"',
        "shop.yaml:18:23: tables.customers.exempt: has no value",
        "shop.yaml:19:1: unknown key 'keep'; it belongs under backup",
    ]


def test_the_error_says_what_to_do_and_ends_a_command_with_status_two(tmp_path: Path) -> None:
    path = write(tmp_path, HEAD + "x: 1\ny: 2\n")
    with pytest.raises(PolicyFileError) as caught:
        load_policy(path)

    assert caught.value.hint == f"{path} has 2 mistakes and is not used; docs/policy.md describes every key."
    assert caught.value.exit_code == 2
    assert caught.value.database == "shop"
    assert pickle.loads(pickle.dumps(caught.value)).problems == caught.value.problems


@pytest.mark.parametrize(
    "name", ["Shop", "1shop", "shop-eu", "shop.eu", "shop eu", "../shop", "s" * 64, "_shop", "sh'op"]
)
def test_a_database_name_that_could_not_be_a_dag_id_is_refused(tmp_path: Path, name: str) -> None:
    (line,) = mistakes(tmp_path, HEAD.replace("database: shop", f'database: "{name}"'))

    assert line.startswith("shop.yaml:1:11: database: ")
    assert line.endswith(
        "cannot name a database here: a small letter, then at most 62 small letters, digits and underscores, "
        "because the name is part of DAG ids, object keys and the connection db_<name>"
    )


@pytest.mark.parametrize(
    ("value", "what"),
    [
        ("7", "must be text, not 7; put it in quotes"),
        ("true", "must be text, not true; put it in quotes"),
        ("[shop]", "must be text, not a list"),
        ("{a: b}", "must be text, not a mapping"),
    ],
)
def test_nothing_is_taken_for_text_that_is_not(tmp_path: Path, value: str, what: str) -> None:
    (line,) = mistakes(tmp_path, HEAD.replace("database: shop", f"database: {value}"))

    assert line.endswith(f"database: {what}")


def test_the_hash_ignores_comments_and_order_and_follows_the_rules(tmp_path: Path) -> None:
    first = loaded(tmp_path, HEAD)
    same = loaded(
        tmp_path, '# rules\nbackup:\n  schedule: "0 2 * * *"\ncontroller: {name: Meridian}\ndatabase: shop'
    )
    spelt_out = loaded(tmp_path, HEAD + "verify: {fingerprint: all}\n")
    other = loaded(tmp_path, HEAD.replace("0 2", "0 3"))

    assert first.sha256 == same.sha256 == spelt_out.sha256
    assert len(first.sha256) == 64
    assert other.sha256 != first.sha256


def test_a_policy_cannot_be_changed_after_it_was_read(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="frozen"):
        loaded(tmp_path, HEAD).database = "other"


def test_one_broken_file_stops_only_its_own_database(tmp_path: Path) -> None:
    write(tmp_path, HEAD, "a.yaml")
    broken = write(tmp_path, HEAD.replace("shop", "crm") + "oops: 1\n", "b.yml")
    write(tmp_path, "not: a policy", "notes.txt")
    write(tmp_path, "\x00", ".hidden.yaml")
    (tmp_path / "folder.yaml").mkdir()

    result = load_policies(tmp_path)

    assert list(result.policies) == ["shop"]
    assert list(result.errors) == [broken]
    assert "unknown key 'oops'" in result.errors[broken].message


def test_two_files_about_one_database_are_both_refused(tmp_path: Path) -> None:
    one, other = write(tmp_path, HEAD, "a.yaml"), write(tmp_path, "# copy\n" + HEAD, "b.yaml")

    result = load_policies(tmp_path)

    assert result.policies == {}
    assert result.errors[one].message == f"{one}:1:11: database: 'shop' has another policy file: {other}"
    assert result.errors[other].message == f"{other}:2:11: database: 'shop' has another policy file: {one}"


def test_a_broken_second_file_about_a_database_does_not_leave_the_first_in_force(tmp_path: Path) -> None:
    write(tmp_path, HEAD, "a.yaml")
    write(tmp_path, HEAD + "oops: 1\n", "b.yaml")

    assert load_policies(tmp_path).policies == {}


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(PolicyNotFoundError, match="There is no policy file"):
        load_policy(tmp_path / "shop.yaml")
    with pytest.raises(PolicyNotFoundError, match="There is no folder"):
        load_policies(tmp_path / "policy")


def test_a_link_to_nowhere_and_a_pipe_are_errors_of_their_own_file(tmp_path: Path) -> None:
    write(tmp_path, HEAD, "a.yaml")
    (tmp_path / "b.yaml").symlink_to(tmp_path / "gone")
    os.mkfifo(tmp_path / "c.yaml")

    result = load_policies(tmp_path)

    assert list(result.policies) == ["shop"]
    assert [path.name for path in result.errors] == ["b.yaml", "c.yaml"]
    assert all(isinstance(error, PolicyError) for error in result.errors.values())


def test_loading_is_quick_enough_for_every_parse_of_a_dag_file() -> None:
    program = """
import time
start = time.process_time()
from strongroom.policy import load_policy
load_policy("include/policy/shop.yaml")
print(time.process_time() - start)
"""
    run = [sys.executable, "-c", program]
    seconds = min(
        float(subprocess.run(run, cwd=REPOSITORY, check=True, capture_output=True, text=True).stdout)
        for _ in range(3)
    )

    assert seconds < 0.5  # 0.2 on two quiet cores; the rest is for a busy machine
