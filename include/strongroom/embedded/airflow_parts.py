"""Airflow: its environment, its four processes, and the preparation of its metadata database."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

from strongroom.embedded import addresses as at
from strongroom.embedded.addresses import LOOPBACK
from strongroom.embedded.credentials import Credentials
from strongroom.embedded.folder import StateFolder
from strongroom.embedded.parts import ProcessPart
from strongroom.embedded.rest import AirflowApi
from strongroom.embedded.state import State, write_private

ADMIN, APPROVER, VIEWER = "admin", "approver", "viewer"
"""Who signs in. What needs two people, such as a restore, is started by one and approved by another."""

_AUTH_MANAGER = "airflow.api_fastapi.auth.managers.simple.simple_auth_manager.SimpleAuthManager"
_INHERITED = ("HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "USER", "LOGNAME", "SSL_CERT_FILE")
COMPONENTS: Mapping[str, str] = {
    "api-server": "metadatabase",
    "scheduler": "scheduler",
    "dag-processor": "dag_processor",
    "triggerer": "triggerer",
}
"""Airflow's processes, and the name that the health check has for each."""

_OPTIONS = dict.fromkeys(("scheduler", "triggerer"), ("--skip-serve-logs",))
"""Their log servers would listen on every network; on one machine the API server reads the files."""


def airflow_environment(
    folder: StateFolder, credentials: Credentials, ports: Mapping[str, int], connections: Mapping[str, object]
) -> dict[str, str]:
    """Everything that Airflow's processes see of the environment.

    Args:
        folder: the state folder.
        credentials: the generated secrets.
        ports: ports by purpose.
        connections: Airflow connections by id, as documents.
    """
    inherited = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    programs = Path(sys.executable).parent
    repository = folder.repository
    return {
        **inherited,
        "PATH": f"{programs}:/usr/local/bin:/usr/bin:/bin",
        "PYTHONPATH": f"{repository / 'include'}:{repository / 'plugins'}",
        "PYTHONUNBUFFERED": "1",
        "STRONGROOM_SETTINGS": str(folder.settings),
        "AWS_EC2_METADATA_DISABLED": "true",
        "SCARF_ANALYTICS": "false",
        "AIRFLOW_HOME": str(folder.airflow_home),
        **_configuration(folder, credentials, ports),
        **{f"AIRFLOW_CONN_{name.upper()}": json.dumps(value) for name, value in connections.items()},
    }


def _configuration(folder: StateFolder, credentials: Credentials, ports: Mapping[str, int]) -> dict[str, str]:
    base = f"http://{LOOPBACK}:{ports[at.UI]}"
    account = f"airflow:{credentials.control_airflow}@{LOOPBACK}:{ports[at.CONTROL]}/airflow"
    options: dict[str, dict[str, object]] = {
        "core": {
            "dags_folder": folder.repository / "dags",
            "plugins_folder": folder.repository / "plugins",
            "executor": "LocalExecutor",
            "parallelism": 4,
            "load_examples": False,
            "dags_are_paused_at_creation": False,
            "fernet_key": credentials.airflow_fernet_key,
            "auth_manager": _AUTH_MANAGER,
            "simple_auth_manager_users": f"{ADMIN}:admin,{APPROVER}:user,{VIEWER}:viewer",
            "simple_auth_manager_passwords_file": folder.airflow_home / "passwords.json",
            "execution_api_server_url": f"{base}/execution/",
            "hostname_callable": "socket.gethostname",
        },
        "database": {
            "sql_alchemy_conn": f"postgresql+psycopg2://{account}",
            "sql_alchemy_conn_async": f"postgresql+asyncpg://{account}",
            "load_default_connections": False,
        },
        "api": {
            "host": LOOPBACK,
            "port": ports[at.UI],
            "base_url": base,
            "workers": 1,
            "secret_key": credentials.airflow_session_secret,
        },
        "api_auth": {"jwt_secret": credentials.airflow_jwt_secret},
        "scheduler": {
            "enable_health_check": True,
            "scheduler_health_check_server_host": LOOPBACK,
            "scheduler_health_check_server_port": ports[at.SCHEDULER_HEALTH],
        },
        "dag_processor": {"refresh_interval": 30, "parsing_processes": 1},
        "logging": {
            "base_log_folder": folder.logs / "airflow",
            "colored_console_log": False,
        },
        "usage_data_collection": {"enabled": False},
    }
    return {
        f"AIRFLOW__{section.upper()}__{name.upper()}": str(value)
        for section, values in options.items()
        for name, value in values.items()
    }


def write_passwords(folder: StateFolder, credentials: Credentials) -> None:
    """Write the sign-in passwords where Airflow looks for them, so that it makes none of its own."""
    passwords = {
        ADMIN: credentials.airflow_admin,
        APPROVER: credentials.airflow_approver,
        VIEWER: credentials.airflow_viewer,
    }
    write_private(folder.airflow_home / "passwords.json", json.dumps(passwords) + "\n")


def airflow_command(*arguments: str) -> list[str]:
    """The command line of Airflow in this environment."""
    return [sys.executable, "-m", "airflow", *arguments]


def installed_version() -> str:
    """The version of Airflow that is installed; the metadata database is brought to it once."""
    return version("apache-airflow")


def airflow_parts(
    folder: StateFolder, environment: Mapping[str, str], ports: Mapping[str, int], api: AirflowApi
) -> list[ProcessPart]:
    """Airflow's processes in the order in which they start."""
    listens = {
        "api-server": {at.UI: ports[at.UI]},
        "scheduler": {at.SCHEDULER_HEALTH: ports[at.SCHEDULER_HEALTH]},
    }
    return [
        ProcessPart(
            name=name,
            title=f"Airflow's {name}",
            folder=folder,
            command=airflow_command(name, *_OPTIONS.get(name, ())),
            environment=environment,
            ports=listens.get(name, {}),
            ready=lambda component=component: api.healthy(component),  # type: ignore[misc]
            expected_seconds=20.0,
        )
        for name, component in COMPONENTS.items()
    ]


def all_running(parts: list[ProcessPart], state: State) -> bool:
    """Whether every process runs."""
    return all(part.running(state) for part in parts)
