"""How long Airflow takes to parse all DAG files, beyond importing Airflow itself."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.benchmarks.rows import Row
from tests.support import REPOSITORY

LIMIT_SECONDS = 1.0
_ROUNDS = 3
_PARSE = """
import sys, time
from airflow.dag_processing.dagbag import DagBag
DagBag(dag_folder=sys.argv[1])
start = time.perf_counter()
bag = DagBag(dag_folder=sys.argv[2])
seconds = time.perf_counter() - start
assert bag.dags and not bag.import_errors, bag.import_errors
print(f"SECONDS {seconds}")
"""


def measure() -> list[Row]:
    """Seconds to parse, beside the limit."""
    seconds = statistics.median(_parse() for _ in range(_ROUNDS))
    ratio = seconds / LIMIT_SECONDS
    return [Row("parsing all DAG files", seconds, LIMIT_SECONDS, "s", ratio, 1.0, ratio <= 1.0)]


def _parse() -> float:
    with tempfile.TemporaryDirectory() as home:
        empty = Path(home) / "empty"
        empty.mkdir()
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": home,
            "AIRFLOW_HOME": home,
            "PYTHONPATH": f"{REPOSITORY / 'include'}:{REPOSITORY / 'plugins'}",
            "AIRFLOW__CORE__LOAD_EXAMPLES": "false",
        }
        command = [sys.executable, "-c", _PARSE, str(empty), str(REPOSITORY / "dags")]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return float(done.stdout.rsplit("SECONDS ", 1)[1])


if __name__ == "__main__":
    from tests.benchmarks.rows import table

    print(table(measure()))
