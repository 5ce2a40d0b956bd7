"""The tables of keys in docs/policy.md, written from the schema: `python -m strongroom.policy.reference`.

It writes the part between the two markers of the document, which it takes from standard input, and prints the whole.
"""

from __future__ import annotations

import sys
from typing import Any

from strongroom.durations import DURATION_PATTERN
from strongroom.policy.erasing import ERASE_METHODS
from strongroom.policy.schema import policy_schema

START, END = "<!-- keys: written by strongroom.policy.reference -->", "<!-- end of keys -->"
_MOST_WORDS = 12


def with_reference(document: str) -> str:
    """The document with its tables of keys written again.

    Raises:
        ValueError: a marker is missing.
    """
    before, rest = document.split(START)
    _, after = rest.split(END)
    return f"{before}{START}\n\n{reference()}\n{END}{after}"


def reference() -> str:
    """Every part of a policy with its keys, as Markdown."""
    schema = policy_schema()
    parts = {"Policy": schema, **schema["$defs"]}
    order = _in_order(parts)
    methods = "\n".join(f"| `{name}` | {what} |" for name, what in ERASE_METHODS.items())
    tables = "\n".join(_table(name, parts[name]) for name in order)
    return f"{tables}\n### Erase methods\n\n| method | what is left |\n|---|---|\n{methods}\n"


def _in_order(parts: dict[str, Any]) -> list[str]:
    """The parts as one meets them when reading a policy from its first key, each once."""
    found = ["Policy"]
    for name in found:
        for rule in parts[name]["properties"].values():
            found += [part for part in _parts(rule) if part not in found]
    return found


def _parts(rule: Any) -> list[str]:
    if isinstance(rule, dict):
        if "$ref" in rule:
            return [str(rule["$ref"]).rsplit("/", 1)[1]]
        return [part for value in rule.values() for part in _parts(value)]
    return [part for item in rule for part in _parts(item)] if isinstance(rule, list) else []


def _table(name: str, part: dict[str, Any]) -> str:
    required = part.get("required", [])
    rows = "\n".join(
        f"| `{key}` | {_kind(rule)} | {_default(rule, key in required)} | {_cell(rule['description'])} |"
        for key, rule in part["properties"].items()
    )
    return f"### {name}\n\n{part['description']}\n\n| key | value | default | meaning |\n|---|---|---|---|\n{rows}\n"


def _kind(rule: dict[str, Any]) -> str:
    if "$ref" in rule:
        return f"[{_parts(rule)[0]}](#{_parts(rule)[0].lower()})"
    if "oneOf" in rule:
        return " or ".join(_kind(option) for option in rule["oneOf"])
    if "enum" in rule:
        few = len(rule["enum"]) <= _MOST_WORDS
        return ", ".join(f"`{word}`" for word in rule["enum"]) if few else "a fideslang category"
    if rule["type"] == "array":
        return f"list of {_kind(rule['items'])}"
    if rule["type"] == "object":
        (inner,) = rule.get("patternProperties", {"": rule.get("additionalProperties")}).values()
        return f"by name: {_kind(inner)}"
    if "const" in rule:
        return f"`{rule['const']}`"
    return _range(rule) if rule["type"] == "integer" else _word(rule)


def _word(rule: dict[str, Any]) -> str:
    if rule["type"] == "boolean":
        return "`true`, `false`"
    if rule.get("pattern") == DURATION_PATTERN:
        return "a duration"
    return f"text, as `{rule['examples'][0]}`" if "examples" in rule else "text"


def _range(rule: dict[str, Any]) -> str:
    return f"{rule['minimum']} to {rule['maximum']}"


def _default(rule: dict[str, Any], required: bool) -> str:
    if required:
        return "**required**"
    value = rule.get("default")
    if value in (None, [], {}):
        return ""
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`[{', '.join(value)}]`" if isinstance(value, list) else f"`{value}`"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    sys.stdout.write(with_reference(sys.stdin.read()))
