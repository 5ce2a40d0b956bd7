"""`up`: start every part that does not run, prepare what was never prepared, take and prove the first backup."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from strongroom.embedded import addresses as at
from strongroom.embedded.airflow_parts import (
    ADMIN,
    APPROVER,
    COMPONENTS,
    airflow_command,
    all_running,
    installed_version,
    write_passwords,
)
from strongroom.embedded.bucket import PURPOSES, make_bucket
from strongroom.embedded.credentials import load_credentials
from strongroom.embedded.down import sweep
from strongroom.embedded.errors import StepFailedError
from strongroom.embedded.folder import StateFolder
from strongroom.embedded.installation import Installation
from strongroom.embedded.parts import Part
from strongroom.embedded.pipelines import FIRST_BACKUP, check_loaded, first_backup
from strongroom.embedded.programs import run_step
from strongroom.embedded.progress import Progress
from strongroom.embedded.state import State
from strongroom.postgres import remove_stale_scratch

_PORT_OWNERS = {
    "control": (at.CONTROL,),
    "shop": (at.SHOP,),
    "seaweedfs": PURPOSES,
    "api-server": (at.UI,),
    "scheduler": (at.SCHEDULER_HEALTH,),
    "dag-processor": (),
    "triggerer": (),
}
_SAMPLE, _KEYS, _METADATA = "sample", "keys", "airflow_metadata"


@dataclass(frozen=True)
class UpOptions:
    """What a start is asked for.

    Attributes:
        customers: the sample shop's size, when it is made.
        backup: whether to take and prove the first backup.
    """

    customers: int = 20_000
    backup: bool = True


def up(folder: StateFolder, options: UpOptions) -> None:
    """Bring everything up; harmless and quick when it is.

    Raises:
        StrongroomError: a part or a step failed; what was started stays and is taken up by the next call.
    """
    folder.prepare()
    with folder.locked():
        state = State.load(folder.state)
        progress = Progress(state)
        installation = _installation(folder, state)
        _start_stores(installation, state, progress)
        _prepare(installation, state, progress, options)
        _start_airflow(installation, state, progress)
        if options.backup:
            first_backup(installation, state, progress)
            check_loaded(installation.api)
        _say_what_is_there(installation, state, progress, proven=options.backup)


def _installation(folder: StateFolder, state: State) -> Installation:
    """Ports chosen, settings written; leftovers of a killed start ended."""
    running = [name for name, record in state.parts.items() if record.alive()]
    sweep(folder, state)
    purposes = [purpose for owned in _PORT_OWNERS.values() for purpose in owned]
    in_use = [purpose for name in running for purpose in _PORT_OWNERS[name]]
    state.ports = at.choose_ports(purposes, previous=state.ports, in_use=in_use)
    state.save()
    installation = Installation(folder, load_credentials(folder.credentials), state.ports)
    installation.write_settings()
    write_passwords(folder, installation.credentials)
    remove_stale_scratch(folder.scratch)
    return installation


def _start_stores(installation: Installation, state: State, progress: Progress) -> None:
    for part in (installation.control, installation.shop, installation.seaweedfs):
        _start(part, state, progress)
    make_bucket(installation.credentials, installation.ports)


def _start(part: Part, state: State, progress: Progress) -> None:
    if part.running(state):
        progress.found(part.title)
        return
    with progress.step(part.name, f"{part.title}", expected_seconds=part.expected_seconds):
        part.start(state)


def _prepare(installation: Installation, state: State, progress: Progress, options: UpOptions) -> None:
    """What is done once: keys, sample, Airflow's tables."""
    once = _Once(installation, state, progress)
    once.do(_KEYS, True, "Making keys", 3, once.keys)
    sample = state.done.get(_SAMPLE) or {
        "customers": options.customers,
        "reference": datetime.now(UTC).date().isoformat(),
    }
    once.do(
        _SAMPLE,
        sample,
        f"Filling the sample shop with {sample['customers']:,} customers",
        options.customers / 1000,
        lambda: once.sample(sample),
    )
    once.do(_METADATA, installed_version(), "Making Airflow's tables", 12, once.airflow_tables)


@dataclass(frozen=True)
class _Once:
    """Steps that are done once and remembered with what they were done with."""

    installation: Installation
    state: State
    progress: Progress

    def do(self, name: str, value: object, doing: str, seconds: float, act: Callable[[], None]) -> None:
        if self.state.done.get(name) == value:
            return
        with self.progress.step(name, doing, expected_seconds=seconds):
            act()
        self.state.done[name] = value
        self.state.save()

    def keys(self) -> None:
        escrow = self.installation.folder.unused_escrow_key()
        arguments = ("keys", "init", "--new-escrow", str(escrow))
        self._run("strongroom keys init", self.installation.command(*arguments))

    def sample(self, sample: dict[str, object]) -> None:
        conninfo = self.installation.shop.cluster().conninfo("shop")
        options = ["--customers", str(sample["customers"]), "--reference", str(sample["reference"])]
        command = [sys.executable, "-m", "strongroom.sample", conninfo, *options]
        self._run("Filling the sample shop", command)

    def airflow_tables(self) -> None:
        self._run("airflow db migrate", airflow_command("db", "migrate"))

    def _run(self, what: str, command: list[str]) -> None:
        folder = self.installation.folder
        run_step(
            what,
            command,
            log_path=folder.log("preparation"),
            directory=folder.repository,
            marker=folder.path,
            environment=self.installation.airflow_environment,
        )


def _start_airflow(installation: Installation, state: State, progress: Progress) -> None:
    """Airflow's processes, most of them at once: each takes most of its time to import."""
    parts = installation.airflow
    if all_running(parts, state):
        progress.found(f"Airflow ({', '.join(COMPONENTS)})")
        return
    with progress.step("airflow", f"Airflow ({', '.join(COMPONENTS)})", expected_seconds=25):
        waiting = {part.name: part for part in parts if not part.running(state)}
        scheduler = waiting.pop("scheduler", None)
        launched = {name: part.launch(state) for name, part in waiting.items()}
        if "api-server" in launched:  # tasks report to it, and a scheduler starts tasks at once
            waiting["api-server"].await_ready(state, launched.pop("api-server"))
        if scheduler is not None:
            scheduler.start(state)
        for name, log_start in launched.items():
            waiting[name].await_ready(state, log_start)


def _say_what_is_there(installation: Installation, state: State, progress: Progress, *, proven: bool) -> None:
    if proven:
        progress.say()
        _show_proof(installation, state.done[FIRST_BACKUP]["backup_id"])
    progress.say()
    progress.say(f"Airflow   http://{at.LOOPBACK}:{installation.ports[at.UI]}")
    progress.say(f"Sign in   {ADMIN} / {installation.credentials.airflow_admin}")
    progress.say(
        f"Approve   {APPROVER} / {installation.credentials.airflow_approver} (a second person, for restores)"
    )
    progress.say(f"Logs      {installation.folder.link / 'logs'}")
    for escrow in installation.folder.escrow_keys():
        progress.say(f"Escrow    {escrow} opens every backup: move it off this machine")
    progress.say("Stop      make down (data stays); make clean removes it")


def _show_proof(installation: Installation, backup_id: str) -> None:
    """Print the proof with the program that anybody would use for it."""
    sys.stdout.flush()
    done = subprocess.run(
        installation.command("verify", "show", "shop", "--backup", backup_id),
        cwd=installation.folder.repository,
        env={**os.environ, "PYTHONPATH": installation.airflow_environment["PYTHONPATH"]},
        check=False,
    )
    if done.returncode != 0:
        raise StepFailedError(f"strongroom verify show shop ended with exit status {done.returncode}.")
