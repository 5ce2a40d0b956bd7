from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.policy.support import HEAD, loaded, mistakes


def entry(sql: str) -> str:
    return HEAD + "verify:\n  smoke_sql:\n    - |-\n      " + sql + "\n"


@pytest.mark.parametrize(
    "sql",
    [
        "select count(*) > 0 from public.customer",
        "SELECT true;",
        "(select true)",
        "with recent as (select 1) select count(*) = 1 from recent",
        "select 'delete; drop' = $$a;b$$ -- ; update",
        'select /* ; */ true from "update"',
        "values (true)",
    ],
)
def test_one_reading_statement_is_allowed(tmp_path: Path, sql: str) -> None:
    assert loaded(tmp_path, entry(sql)).verify.smoke_sql == (sql,)


@pytest.mark.parametrize(
    ("sql", "what"),
    [
        ("select 1; select 2", "holds more than one statement; write each as an item of its own"),
        ("delete from customer", "does not read: smoke SQL is one SELECT that gives true"),
        ("-- only a comment", "does not read: smoke SQL is one SELECT that gives true"),
        ("with x as (delete from a returning 1) select 1", "would write (delete); smoke SQL is one SELECT"),
        ("select 1 into new_table", "would write (into); smoke SQL is one SELECT"),
        ("select 'a'';' ; drop table a", "holds more than one statement"),
    ],
)
def test_anything_else_is_refused(tmp_path: Path, sql: str, what: str) -> None:
    (line,) = mistakes(tmp_path, entry(sql))

    assert line.startswith("shop.yaml:6:7: verify.smoke_sql[0]: ")
    assert what in line
