"""The first backup and its proof, run through Airflow as every later one will be."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

from strongroom.embedded.errors import PartFailedError, PipelineFailedError
from strongroom.embedded.installation import Installation
from strongroom.embedded.progress import Progress
from strongroom.embedded.rest import AirflowApi, wait_until
from strongroom.embedded.state import State

BACKUP_DAG = "nightly_backup.shop"
VERIFICATION_DAG = "restore_verification.shop"
FIRST_BACKUP = "first_backup"
_ENDED = ("success", "failed")
_PARSE_SECONDS = 120.0
_RUN_SECONDS = 3600.0


def first_backup(installation: Installation, state: State, progress: Progress) -> None:
    """Take the first backup and prove it, unless that was done before.

    Raises:
        PipelineFailedError: a pipeline did not succeed; the message carries its log's last lines.
    """
    if FIRST_BACKUP in state.done:
        progress.found("The first backup and its proof")
        return
    api = installation.api
    with progress.step("pipelines", "Airflow reads the pipelines", expected_seconds=10):
        _await_pipelines(api)
    began, run_id = _start_backup(api)
    with progress.step("backup", f"Backing up the shop ({BACKUP_DAG})", expected_seconds=20):
        _await_success(api, installation, BACKUP_DAG, run_id)
    with progress.step("proof", f"Restoring and proving it ({VERIFICATION_DAG})", expected_seconds=40):
        verification = _await_verification(api, began)
        _await_success(api, installation, VERIFICATION_DAG, verification)
    proven = api.result(VERIFICATION_DAG, verification, "restore_and_prove")
    state.done[FIRST_BACKUP] = {"backup_run": run_id, "verification_run": verification, **proven}
    state.save()


def _await_pipelines(api: AirflowApi) -> None:
    wanted = (BACKUP_DAG, VERIFICATION_DAG)
    if wait_until(lambda: all(api.dag_exists(dag) for dag in wanted), seconds=_PARSE_SECONDS):
        return
    errors = "\n".join(api.import_errors()) or "Airflow reports no import error."
    raise PipelineFailedError(
        f"Airflow did not find the pipelines {' and '.join(wanted)}:\n{errors}",
        hint="Mend the file named above, then run make up again.",
    )


def _start_backup(api: AirflowApi) -> tuple[str, str]:
    """A backup run and the moment it was made: last night's, which the schedule starts by itself, or a new one."""
    for run in reversed(api.runs_since(BACKUP_DAG, "2000-01-01T00:00:00Z")):
        if run["state"] != "failed":
            return str(run["queued_at"]), str(run["dag_run_id"])
    now = datetime.now(UTC)
    run_id = f"first-{now:%Y%m%dT%H%M%SZ}"
    api.trigger(BACKUP_DAG, run_id)
    return now.isoformat(), run_id


def _await_verification(api: AirflowApi, since: str) -> str:
    """The id of the run that the backup's asset started."""
    runs: list[dict[str, Any]] = []

    def started() -> bool:
        runs[:] = api.runs_since(VERIFICATION_DAG, since)
        return bool(runs)

    if not wait_until(started, seconds=60):
        raise PipelineFailedError(
            f"The backup succeeded, and its asset did not start {VERIFICATION_DAG} within a minute.",
            hint="Look at the Assets page of Airflow's UI, and at the scheduler's log.",
        )
    return str(runs[0]["dag_run_id"])


def _await_success(api: AirflowApi, installation: Installation, dag_id: str, run_id: str) -> None:
    deadline = time.monotonic() + _RUN_SECONDS
    while (outcome := str(api.run(dag_id, run_id)["state"])) not in _ENDED:
        if time.monotonic() > deadline:
            raise PipelineFailedError(f"The run {run_id} of {dag_id} is still {outcome} after an hour.")
        time.sleep(0.5)
    if outcome == "failed":
        raise PipelineFailedError(
            f"The run {run_id} of {dag_id} failed, {api.failed_task_log(dag_id, run_id)}",
            hint=f"All tasks' logs are in {installation.folder.logs / 'airflow'}.",
        )


def check_loaded(api: AirflowApi) -> None:
    """Fail when Airflow could not load a DAG file or a plugin.

    Raises:
        PartFailedError: names each.
    """
    broken = api.import_errors()
    broken += [str(error) for error in api.get("/plugins/importErrors")["import_errors"]]
    if broken:
        raise PartFailedError("Airflow could not load:\n" + "\n".join(broken))
