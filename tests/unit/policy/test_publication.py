"""What is published about policies is what the loader does."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest

from strongroom.policy.categories import CATEGORIES
from strongroom.policy.document import read_document
from strongroom.policy.explaining import keys
from strongroom.policy.reference import with_reference
from strongroom.policy.schema import policy_schema, policy_schema_text
from tests.support import REPOSITORY

SCHEMA = REPOSITORY / "include/policy/policy.schema.json"
DOCUMENTATION = REPOSITORY / "docs/policy.md"
SHOP = REPOSITORY / "include/policy/shop.yaml"


def violations(text: str) -> list[str]:
    content = read_document(text.encode()).content
    return [error.message for error in jsonschema.Draft202012Validator(policy_schema()).iter_errors(content)]


def test_the_published_schema_is_current() -> None:
    message = "run: python -m strongroom.policy.schema > include/policy/policy.schema.json"
    assert SCHEMA.read_text() == policy_schema_text(), message


def test_the_published_schema_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(json.loads(SCHEMA.read_text()))


def test_the_sample_satisfies_the_schema_and_names_it_for_editors() -> None:
    text = SHOP.read_text()

    assert text.startswith("# yaml-language-server: $schema=policy.schema.json\n")
    assert violations(text) == []


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("method: physical", "method: phisical"),
        ("amcheck: true", "amcheck: yes"),
        ("public.order_line:", "order_line:"),
        ("rpo: 1d", "rpo: 1 day"),
        ("proven: 2", "proven: 0"),
        ("  fingerprint: all", "  fingerprnt: all"),
    ],
)
def test_an_editor_sees_what_the_loader_would_refuse(right: str, wrong: str) -> None:
    text = SHOP.read_text()
    assert right in text

    assert violations(text.replace(right, wrong))


def test_every_key_is_described_in_the_schema_and_in_the_documentation() -> None:
    schema, document = policy_schema(), DOCUMENTATION.read_text()
    parts = {"Policy": schema, **schema["$defs"]}

    for path, part, name in keys():
        key = path[-1]
        assert parts[part.__name__]["properties"][key]["description"], (part, name)
        section = document.split(f"### {part.__name__}\n")[1].split("\n### ")[0]
        assert f"| `{key}` |" in section, f"docs/policy.md does not describe {'.'.join(path)}"


def test_the_documentation_is_current() -> None:
    document = DOCUMENTATION.read_text()
    message = "run: python -m strongroom.policy.reference < docs/policy.md, and keep what it prints"
    assert with_reference(document) == document, message


def test_the_examples_of_the_documentation_are_policies() -> None:
    examples = re.findall(r"```yaml\n(.*?)```", DOCUMENTATION.read_text(), re.DOTALL)

    assert examples
    assert [violations(example) for example in examples] == [[]] * len(examples)


def test_the_schema_offers_no_null() -> None:
    assert not [value for value in values(policy_schema()) if value == "null" or value is None]


def test_the_taxonomy_has_its_85_keys_and_their_parents() -> None:
    assert len(set(CATEGORIES)) == 85
    assert all(key.rpartition(".")[0] in {"", *CATEGORIES} for key in CATEGORIES)


def values(node: Any) -> Iterator[Any]:
    if isinstance(node, dict):
        for value in node.values():
            yield from values(value)
    elif isinstance(node, list):
        for value in node:
            yield from values(value)
    else:
        yield node
