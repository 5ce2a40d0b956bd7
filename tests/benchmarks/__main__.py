"""`make bench`: every comparison, one after the other, as a table and as JSON (`build/bench.json`)."""

from __future__ import annotations

import importlib
import json
import sys
from dataclasses import asdict

from tests.benchmarks.rows import Row, table
from tests.support import REPOSITORY

BENCHMARKS = (
    "sealing",
    "backup",
    "peers",
    "incremental",
    "logical",
    "audit",
    "parsing",
    "retention",
    "memory",
)


def main(names: list[str]) -> int:
    """Measure the named benchmarks, or all of them; 1 when a limit was missed."""
    rows: list[Row] = []
    for name in names or BENCHMARKS:
        print(f"measuring {name} …", file=sys.stderr, flush=True)
        rows += importlib.import_module(f"tests.benchmarks.bench_{name}").measure()
    print(table(rows))
    target = REPOSITORY / "build" / "bench.json"
    target.parent.mkdir(exist_ok=True)
    target.write_text(json.dumps([asdict(row) for row in rows], indent=2) + "\n")
    return 0 if all(row.ok for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
