"""An Airflow of the tests' own: its home, its metadata database, and no connection to anything."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.support import REPOSITORY


@pytest.fixture(scope="session")
def airflow_environment(tmp_path_factory):
    """The environment of Airflow's programs, with a metadata database of their own."""
    home = tmp_path_factory.mktemp("airflow")
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "AIRFLOW_HOME": str(home),
        "PYTHONPATH": f"{REPOSITORY / 'include'}:{REPOSITORY / 'plugins'}",
        "AIRFLOW__CORE__DAGS_FOLDER": str(REPOSITORY / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(REPOSITORY / "plugins"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "false",
        "AIRFLOW__CORE__UNIT_TEST_MODE": "false",
    }


@pytest.fixture
def run_python(airflow_environment):
    """Runs a piece of Python as an Airflow process would and gives what it printed."""

    def run(code: str, **variables: str) -> str:
        done = subprocess.run(
            [sys.executable, "-c", code],
            env={**airflow_environment, **variables},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout

    return run
