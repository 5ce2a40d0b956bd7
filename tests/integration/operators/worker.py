"""A process that has imported Airflow, from which each execution of an operator gets a process of its own.

    python worker.py MODULE…

imports the modules; then each line of standard input is a request, `{"script", "arguments", "environment"}`, and each
line of the answer says what the script printed. Importing Airflow takes seconds, a fork of this process nothing.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.support import REPOSITORY


class Worker:
    """The process, as a test sees it.

    Args:
        home: a directory for Airflow's own files.
        modules: what it imports before the first request.
    """

    def __init__(self, home: Path, modules: Sequence[str]) -> None:
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "AIRFLOW_HOME": str(home / "airflow"),
            "PYTHONPATH": f"{REPOSITORY / 'include'}:{REPOSITORY / 'plugins'}:{REPOSITORY}",
        }
        self._errors = (home / "worker.log").open("w")
        self._process = subprocess.Popen(
            [sys.executable, __file__, *modules],
            env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors, text=True,
        )  # fmt: skip
        self._log = home / "worker.log"

    def execute(self, script: str, arguments: Sequence[str], environment: dict[str, str]) -> Any:
        """Run a script in a process of its own; gives what it printed after `RESULT`, as JSON."""
        request = {"script": script, "arguments": list(arguments), "environment": environment}
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, self._log.read_text()[-3000:]
        printed = json.loads(line)
        assert "RESULT" in printed, printed[-3000:]
        return json.loads(printed.rsplit("RESULT", 1)[1].splitlines()[0])

    def close(self) -> None:
        """End it."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(30)
        self._process.stdout.close()
        self._errors.close()


def _serve(modules: Sequence[str]) -> None:
    import importlib

    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for module in modules:
        importlib.import_module(module)
    for line in sys.stdin:
        with tempfile.TemporaryFile("w+") as printed:
            child = os.fork()
            if child == 0:
                _run(json.loads(line), printed.fileno())
            os.waitpid(child, 0)
            printed.seek(0)
            answers.write(json.dumps(printed.read()) + "\n")
            answers.flush()


def _run(request: dict[str, Any], printed: int) -> None:
    os.dup2(printed, 1)
    os.dup2(printed, 2)
    sys.argv = ["-c", *request["arguments"]]
    os.environ.update(request["environment"])
    try:
        exec(request["script"], {"__name__": "__main__"})  # the test's own
    except BaseException:
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


if __name__ == "__main__":
    _serve(sys.argv[1:])
