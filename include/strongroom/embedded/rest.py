"""Airflow's REST API, as much of it as starting and watching pipelines needs."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode

from strongroom.embedded.addresses import LOOPBACK
from strongroom.embedded.errors import EmbeddedError

_TIMEOUT_SECONDS = 30.0


class ApiError(EmbeddedError):
    """Airflow refused a request, or did not answer."""

    def __init__(self, message: str, *, status: int | None = None, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.status = status


class AirflowApi:
    """A client of the API server on this machine.

    Args:
        port: on 127.0.0.1.
        user: who signs in.
        password: the user's password.
    """

    def __init__(self, port: int, user: str, password: str) -> None:
        self._port = port
        self._user = user
        self._password = password
        self._token: str | None = None

    def healthy(self, component: str) -> bool:
        """Whether a component says that it works, by its heartbeat; false also when nothing answers."""
        try:
            health = self._send("GET", "/api/v2/monitor/health")
        except ApiError:
            return False
        return bool((health.get(component) or {}).get("status") == "healthy")

    def get(self, path: str, **query: object) -> dict[str, Any]:
        """Ask for a document below `/api/v2`.

        Raises:
            ApiError: it was refused or not found; `status` tells.
        """
        suffix = f"?{urlencode(query)}" if query else ""
        return self._authorised("GET", f"/api/v2{path}{suffix}")

    def post(self, path: str, document: Mapping[str, object]) -> dict[str, Any]:
        """Send a document below `/api/v2`.

        Raises:
            ApiError: it was refused.
        """
        return self._authorised("POST", f"/api/v2{path}", document)

    def import_errors(self) -> list[str]:
        """The DAG files that Airflow could not read, each with its error."""
        errors = self.get("/importErrors")["import_errors"]
        return [f"{error['filename']}: {error['stack_trace'].strip()}" for error in errors]

    def dag_exists(self, dag_id: str) -> bool:
        """Whether Airflow has read the pipeline."""
        try:
            self.get(f"/dags/{quote(dag_id)}")
        except ApiError as error:
            if error.status == 404:
                return False
            raise
        return True

    def trigger(self, dag_id: str, run_id: str) -> None:
        """Start a run; harmless when a run of that id was started already."""
        try:
            self.post(f"/dags/{quote(dag_id)}/dagRuns", {"dag_run_id": run_id, "logical_date": None})
        except ApiError as error:
            if error.status != 409:
                raise

    def run(self, dag_id: str, run_id: str) -> dict[str, Any]:
        """One run."""
        return self.get(f"/dags/{quote(dag_id)}/dagRuns/{quote(run_id, safe='')}")

    def runs_since(self, dag_id: str, moment: str) -> list[dict[str, Any]]:
        """A pipeline's runs from a moment on, oldest first."""
        found = self.get(f"/dags/{quote(dag_id)}/dagRuns", run_after_gte=moment, order_by="run_after")
        return list(found["dag_runs"])

    def result(self, dag_id: str, run_id: str, task_id: str) -> dict[str, Any]:
        """The reference that a task returned."""
        run = f"/dags/{quote(dag_id)}/dagRuns/{quote(run_id, safe='')}"
        value = self.get(f"{run}/taskInstances/{task_id}/xcomEntries/return_value", deserialize=True)["value"]
        return dict(value)

    def failed_task_log(self, dag_id: str, run_id: str) -> str:
        """The last lines of the log of a run's first failed task."""
        run = f"/dags/{quote(dag_id)}/dagRuns/{quote(run_id, safe='')}"
        tasks = self.get(f"{run}/taskInstances")["task_instances"]
        failed = sorted((task for task in tasks if task["state"] == "failed"), key=_ended)
        if not failed:
            return "(no task failed)"
        task = failed[0]
        content = self.get(f"{run}/taskInstances/{task['task_id']}/logs/{task['try_number']}")["content"]
        return f"task {task['task_id']}:\n" + "\n".join(_log_lines(content)[-25:])

    def _authorised(
        self, method: str, path: str, document: Mapping[str, object] | None = None
    ) -> dict[str, Any]:
        if self._token is None:
            answer = self._send("POST", "/auth/token", {"username": self._user, "password": self._password})
            self._token = str(answer["access_token"])
        return self._send(method, path, document, token=self._token)

    def _send(
        self, method: str, path: str, document: Mapping[str, object] | None = None, token: str | None = None
    ) -> dict[str, Any]:
        headers = {"Accept": "application/json"}
        if document is not None:
            headers["Content-Type"] = "application/json"
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        body = json.dumps(document) if document is not None else None
        connection = http.client.HTTPConnection(LOOPBACK, self._port, timeout=_TIMEOUT_SECONDS)
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            return _answer(method, path, response.status, response.read())
        except (OSError, http.client.HTTPException) as error:
            raise ApiError(f"Airflow's API server does not answer ({type(error).__name__}).") from error
        finally:
            connection.close()


def wait_until(condition: Any, *, seconds: float, interval_seconds: float = 0.5) -> bool:
    """Ask again and again until the answer is true; false when the time is over."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(interval_seconds)
    return True


def _answer(method: str, path: str, status: int, content: bytes) -> dict[str, Any]:
    if not 200 <= status < 300:
        raise ApiError(f"Airflow answers {status} to {method} {path.partition('?')[0]}.", status=status)
    try:
        document = json.loads(content or b"{}")
    except ValueError as error:
        raise ApiError(f"Airflow's answer to {method} {path.partition('?')[0]} is no JSON.") from error
    return document if isinstance(document, dict) else {"items": document}


def _ended(task: Mapping[str, Any]) -> str:
    return str(task.get("end_date") or "9")


def _log_lines(content: object) -> list[str]:
    """A task's log as lines, from Airflow's structured form."""
    if not isinstance(content, list):
        return str(content).splitlines()
    lines = []
    for item in content:
        lines.append(str(item.get("event", "")) if isinstance(item, dict) else str(item))
        details = item.get("error_detail") if isinstance(item, dict) else None
        lines += [f"  {detail.get('exc_type')}: {detail.get('exc_value')}" for detail in details or []]
    return lines
