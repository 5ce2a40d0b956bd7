"""The file of business checks: strict, and every mistake is found at its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from strongroom.backup.verification import ExpectationFileError
from strongroom.backup.verification.expectations import check_names, load_expectations, unknown_type
from tests.support import REPOSITORY

GOOD = """\
- table: public.customer
  expectations:
    - {type: expect_column_values_to_be_unique, kwargs: {column: customer_id}}
    - type: expect_compound_columns_to_be_unique
      kwargs: {column_list: [a, b]}
"""


def _file(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "shop.yaml"
    path.write_text(text)
    return path


def test_expectations_know_their_table_and_line(tmp_path: Path) -> None:
    suite = load_expectations(_file(tmp_path, GOOD))
    assert [(item.schema, item.table, item.line) for item in suite.expectations] == [
        ("public", "customer", 3),
        ("public", "customer", 4),
    ]
    assert suite.expectations[1].columns == ["a", "b"]


def test_the_sample_shops_expectations_load() -> None:
    suite = load_expectations(REPOSITORY / "include/expectations/shop.yaml")
    assert len(suite.expectations) > 15


@pytest.mark.parametrize(
    ("change", "line", "problem"),
    [
        (("kwargs: {column: customer_id}", "kwarg: {column: customer_id}"), 3, "kwarg is not known"),
        (("table: public.customer", "table: customer"), 1, "table"),
        (("type: expect_column_values_to_be_unique", "type: unique"), 3, "type"),
        (("expectations:", "expectation:"), 1, "Field required"),
        (("{column_list: [a, b]}", "[a, b]"), 5, "kwargs"),
        (("- table: public.customer", "- table: public.customer\n  table: public.orders"), 2, "stands twice"),
        (("[a, b]", "[a, b"), 5, "not YAML"),
    ],
)
def test_a_mistake_is_found_at_its_line(
    tmp_path: Path, change: tuple[str, str], line: int, problem: str
) -> None:
    path = _file(tmp_path, GOOD.replace(*change, 1))
    with pytest.raises(ExpectationFileError) as caught:
        load_expectations(path)
    assert f"{path}:{line}: " in str(caught.value)
    assert problem in str(caught.value)


def test_a_missing_file_says_which_setting_names_it(tmp_path: Path) -> None:
    with pytest.raises(ExpectationFileError, match="expectations_directory"):
        load_expectations(tmp_path / "none.yaml")


def test_unknown_tables_and_columns_are_named_with_their_line(tmp_path: Path) -> None:
    suite = load_expectations(_file(tmp_path, GOOD))
    path = tmp_path / "shop.yaml"
    assert check_names(suite, {})[0] == f"{path}:3: there is no table public.customer"
    known = {("public", "customer"): {"customer_id", "a"}}
    assert check_names(suite, known) == [f"{path}:4: public.customer has no column b"]


def test_an_unknown_type_is_named_with_its_line_and_the_nearest_one(tmp_path: Path) -> None:
    suite = load_expectations(_file(tmp_path, GOOD))
    sentence = unknown_type(suite, suite.expectations[0], "expect_column_values_to_be_null")
    assert (
        "shop.yaml:3: Great Expectations has no expect_column_values_to_be_unique. Did you mean" in sentence
    )
