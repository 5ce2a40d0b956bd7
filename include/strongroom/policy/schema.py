"""The policy's JSON Schema, for editors: `python -m strongroom.policy.schema > include/policy/policy.schema.json`."""

from __future__ import annotations

import json
import sys
from typing import Any

from strongroom.policy.model import Policy


def policy_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of a policy file, with a description of every key."""
    schema = _as_the_loader_reads(Policy.model_json_schema(by_alias=True, mode="validation"))
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "title": "Strongroom policy",
    }


def policy_schema_text() -> str:
    """The schema as it is published."""
    return json.dumps(policy_schema(), indent=2, ensure_ascii=False) + "\n"


def _as_the_loader_reads(schema: Any) -> Any:
    """The schema without nulls, which a file never holds, and closed to misspelt names of tables and purposes."""
    if isinstance(schema, list):
        return [_as_the_loader_reads(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    result = {key: _as_the_loader_reads(value) for key, value in schema.items()}
    if result.get("anyOf", [None])[-1] == {"type": "null"}:
        (kind,) = result.pop("anyOf")[:-1]
        result = {**kind, **result}
    if result.get("default", ...) is None:
        del result["default"]
    if isinstance(result.get("default"), dict):
        del result["default"]  # said once more by the defaults of its keys
    if isinstance(result.get("title"), str) and "properties" not in result:
        del result["title"]
    if "patternProperties" in result:
        result["additionalProperties"] = False
    return result


if __name__ == "__main__":
    sys.stdout.write(policy_schema_text())
