"""The sample company's policy says something about every table, column and reference of the sample's schema."""

from __future__ import annotations

import re

from strongroom.policy import Policy, load_policy
from tests.support import REPOSITORY

SAMPLE = REPOSITORY / "include/strongroom/sample"
CONSTRAINTS = ("check", "primary", "foreign", "unique", "constraint", "exclude")


def policy() -> Policy:
    return load_policy(REPOSITORY / "include/policy/shop.yaml")


def schema_tables() -> dict[str, list[str]]:
    """The columns of each table, read from the statements that make them."""
    text = re.sub(r"--[^\n]*", "", (SAMPLE / "schema.sql").read_text())
    tables = {}
    for name, body in re.findall(r"create table ([\w.]+) \(\n(.*?)\n\)", text, re.DOTALL):
        lines = [line.strip() for line in body.splitlines() if re.match(r" {4}\w", line)]
        columns = [line.split()[0] for line in lines if line.split()[0] not in CONSTRAINTS]
        tables[qualified(name)] = [column for column in columns if not column.startswith("check")]
    views = re.findall(r"create materialized view ([\w.]+)", (SAMPLE / "constraints.sql").read_text())
    return {**tables, **{qualified(name): [] for name in views}}


def foreign_keys() -> list[tuple[str, tuple[str, ...], str]]:
    text = re.sub(r"--[^\n]*", "", (SAMPLE / "constraints.sql").read_text())
    found = []
    for name, body in re.findall(r"alter table ([\w.]+)(.*?);", text, re.DOTALL):
        for columns, target in re.findall(r"add foreign key \(([^)]*)\) references ([\w.]+)", body):
            found.append((qualified(name), tuple(columns.split(", ")), qualified(target)))
    return found


def qualified(name: str) -> str:
    return name if "." in name else f"public.{name}"


def test_every_table_is_classified_or_exempt_and_none_is_invented() -> None:
    assert set(policy().tables) == set(schema_tables())


def test_every_column_is_classified_and_none_is_invented() -> None:
    rules = policy().tables
    for name, columns in schema_tables().items():
        if not rules[name].exempt:
            assert rules[name].classified() == set(columns), name


def test_every_foreign_key_is_a_link() -> None:
    rules = policy().tables
    assert foreign_keys()
    for name, columns, target in foreign_keys():
        links = [(link.columns, link.to) for link in rules[name].links]
        assert rules[name].exempt or (columns, target) in links, (name, columns)


def test_every_kind_of_link_is_shown_at_least_once() -> None:
    kinds = {link.kind for table in policy().tables.values() for link in table.links}

    assert kinds == {"owns", "shares", "mentions", "lookup", "identity", "polymorphic"}


def test_its_backups_are_physical_nightly_and_can_be_thrown_away_after_a_day() -> None:
    backup = policy().backup

    assert (backup.method, backup.schedule, backup.timezone) == ("physical", "0 2 * * *", "UTC")
    assert backup.lock is not None
    assert (backup.lock.mode, backup.lock.days) == ("governance", 1)


def test_its_expectations_are_there() -> None:
    name = policy().verify.expectations

    assert name is not None
    assert (REPOSITORY / "include/expectations" / name).is_file()
