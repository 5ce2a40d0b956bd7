"""Starting Great Expectations in a process of its own, and understanding its answer."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from strongroom.backup.verification.errors import ExpectationRunError
from strongroom.backup.verification.expectations import Expectation, ExpectationSuite, unknown_type
from strongroom.postgres import SUPERUSER, Cluster

_TIMEOUT_SECONDS = 6 * 3600


@dataclass(frozen=True)
class SuiteOutcome:
    """How a suite ended: how many checks were met, and a sentence with file and line for each other one."""

    met: int
    unmet: tuple[str, ...]


class ExpectationProcess:
    """Great Expectations, starting up in the background until it gets its suite.

    It needs about 170 MiB and some seconds to import; neither is spent in this process.
    """

    def __init__(self) -> None:
        command = [sys.executable, "-m", "strongroom.backup.verification.expectations_child"]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )

    def close(self) -> None:
        """End the process, if it still runs."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with contextlib.suppress(BrokenPipeError):
                    stream.close()

    def run(self, suite: ExpectationSuite, cluster: Cluster, dbname: str) -> SuiteOutcome:
        """Check a restored database.

        Raises:
            ExpectationRunError: Great Expectations did not answer.
        """
        job = json.dumps({"url": _url(cluster, dbname), "expectations": _items(suite)}).encode()
        try:
            answer, _ = self._process.communicate(job, timeout=_TIMEOUT_SECONDS)
            outcomes = json.loads(answer)["outcomes"]
        except (subprocess.TimeoutExpired, ValueError, KeyError) as error:
            raise ExpectationRunError(
                f"Great Expectations gave no answer for {suite.path} (exit status {self._process.poll()}).",
                hint="Try `python -m strongroom.backup.verification.expectations_child </dev/null`: is it installed?",
            ) from error
        return _outcome(suite, outcomes)


def _items(suite: ExpectationSuite) -> list[dict[str, Any]]:
    return [
        {"schema": item.schema, "table": item.table, "type": item.type, "kwargs": item.kwargs}
        for item in suite.expectations
    ]


def _outcome(suite: ExpectationSuite, outcomes: list[dict[str, Any]]) -> SuiteOutcome:
    pairs = list(zip(suite.expectations, outcomes, strict=True))
    unmet = tuple(_sentence(suite, item, outcome) for item, outcome in pairs if outcome["state"] != "met")
    return SuiteOutcome(len(pairs) - len(unmet), unmet)


def _sentence(suite: ExpectationSuite, item: Expectation, outcome: dict[str, Any]) -> str:
    state, reason = outcome["state"], outcome["reason"]
    if state == "unknown":
        return unknown_type(suite, item, reason)
    if state == "refused":
        return f"{suite.place(item)}: {item.type} cannot be used so: {reason}"
    if state == "unmet":
        return f"{suite.place(item)}: not met: {item.label}"
    return f"{suite.place(item)}: {item.label}: {reason}"


def _url(cluster: Cluster, dbname: str) -> str:
    host = quote(str(cluster.socket_dir), safe="")
    options = quote("-c default_transaction_read_only=on", safe="")
    return (
        f"postgresql+psycopg2:///{quote(dbname, safe='')}"
        f"?host={host}&port={cluster.port or 5432}&user={SUPERUSER}&options={options}"
    )
