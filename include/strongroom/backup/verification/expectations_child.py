"""The process in which Great Expectations runs, so that its memory never adds to the worker's.

Reads one JSON object from standard input, {"url": ..., "expectations": [{"schema", "table", "type", "kwargs"}]},
and writes one to standard output, {"outcomes": [{"state": "met" | "unmet" | "error", "reason": ...}]}, in the same
order. Nothing else is printed there. No result carries a row's value.
"""

from __future__ import annotations

import difflib
import json
import os
import sys
from collections.abc import Iterator, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import LazyLoader
from types import ModuleType
from typing import Any

Outcome = dict[str, str | None]

_SELDOM_USED = ("scipy.stats", "altair")
"""Great Expectations imports these for one or two expectations: a third of its memory and a second of its start."""


def main() -> None:
    """Run the suite that stands on standard input."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever a library prints goes to standard error
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    sys.meta_path.insert(0, _ImportedOnUse())
    import great_expectations  # noqa: F401 - several seconds, spent while the other levels still run

    job = json.loads(sys.stdin.read())
    if not job:
        return
    outcomes = run_suite(job["url"], job["expectations"])
    json.dump({"outcomes": outcomes}, answers)
    answers.close()


class _ImportedOnUse(MetaPathFinder):
    """Puts off the import of seldom used modules until something of theirs is asked for."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in _SELDOM_USED:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = LazyLoader(spec.loader)
        return spec


def run_suite(url: str, expectations: list[dict[str, Any]]) -> list[Outcome]:
    """Run expectations against a database, by SQL in the server.

    Args:
        url: SQLAlchemy's URL of the database.
        expectations: what to check, in any order of tables.
    """
    outcomes: list[Outcome] = [{"state": "error", "reason": "not run"} for _ in expectations]
    source = _data_source(url)
    by_table: dict[tuple[str, str], list[int]] = {}
    for index, item in enumerate(expectations):
        by_table.setdefault((item["schema"], item["table"]), []).append(index)
    for (schema, table), indexes in by_table.items():
        built: list[Any] = []
        for index in indexes:
            expectation, outcomes[index] = _build(expectations[index], index)
            built += [expectation] if expectation is not None else []
        for index, outcome in _validate(source, schema, table, built):
            outcomes[index] = outcome
    return outcomes


def _data_source(url: str) -> Any:
    import great_expectations as gx
    from great_expectations.data_context.types.base import ProgressBarsConfig

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False, metric_calculations=False)
    return context.data_sources.add_sql("restored", connection_string=url, create_temp_table=False)


def _build(item: dict[str, Any], index: int) -> tuple[Any, Outcome]:
    import great_expectations.expectations as known

    name = "".join(word.capitalize() for word in item["type"].split("_"))
    names = {candidate.lower(): candidate for candidate in dir(known) if candidate.startswith("Expect")}
    if name.lower() not in names:
        near = difflib.get_close_matches(name, names.values(), n=1)
        return None, {"state": "unknown", "reason": _snake_case(near[0]) if near else None}
    try:
        expectation = getattr(known, names[name.lower()])(**item["kwargs"], meta={"index": index})
    except (TypeError, ValueError) as error:
        return None, {"state": "refused", "reason": _arguments(error)}
    return expectation, {"state": "error", "reason": "not run"}


def _validate(source: Any, schema: str, table: str, built: list[Any]) -> Iterator[tuple[int, Outcome]]:
    import great_expectations as gx

    if not built:
        return
    asset = source.add_table_asset(f"{schema}.{table}", table_name=table, schema_name=schema)
    batch = asset.add_batch_definition_whole_table("all").get_batch()
    suite = gx.ExpectationSuite(name=f"{schema}.{table}", expectations=built)
    for result in batch.validate(suite, result_format="BOOLEAN_ONLY").results:
        index = result.expectation_config.meta["index"]
        yield index, _outcome(result)


def _outcome(result: Any) -> Outcome:
    information = result.exception_info or {}
    raised = information.get("raised_exception")
    if raised is None:
        raised = any(isinstance(item, dict) and item.get("raised_exception") for item in information.values())
    if raised:
        return {"state": "error", "reason": "the check itself failed with an error"}
    return {"state": "met" if result.success else "unmet", "reason": None}


def _arguments(error: Exception) -> str:
    """Which arguments are wrong, without their values."""
    problems = getattr(error, "errors", None)
    if problems is None:
        return "its kwargs are not accepted"
    return "; ".join(f"{'.'.join(str(part) for part in item['loc'])}: {item['msg']}" for item in problems())


def _snake_case(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name).lstrip("_")


if __name__ == "__main__":
    main()
