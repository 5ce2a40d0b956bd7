"""The policy's JSON Schema, for editors: `python -m strongroom.policy.schema > include/policy/policy.schema.json`."""

from __future__ import annotations

import json
import sys
from typing import Any

from strongroom.policy.model import Policy


def policy_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of a policy file, with a description of every key."""
    schema = Policy.model_json_schema(by_alias=True, mode="validation")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "title": "Strongroom policy",
    }


def policy_schema_text() -> str:
    """The schema as it is published."""
    return json.dumps(policy_schema(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.stdout.write(policy_schema_text())
