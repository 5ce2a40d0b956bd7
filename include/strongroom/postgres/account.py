"""The unprivileged user that servers run as when we are root: PostgreSQL refuses to run as root."""

from __future__ import annotations

import os
import pwd
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from strongroom.errors import ConfigurationError
from strongroom.postgres.errors import UnreachableDirectoryError

_CANDIDATES = ("postgres", "nobody")
_BASE_ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}


@dataclass(frozen=True)
class ServiceAccount:
    """A user that owns data directories and runs servers."""

    name: str
    uid: int
    gid: int


def service_account() -> ServiceAccount | None:
    """The user to run servers as: None when we are not root (then: ourselves).

    Raises:
        ConfigurationError: we are root and the machine has neither `postgres` nor `nobody`.
    """
    if os.geteuid() != 0:
        return None
    for name in _CANDIDATES:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return ServiceAccount(name, entry.pw_uid, entry.pw_gid)
    raise ConfigurationError(
        "PostgreSQL refuses to run as root, and there is no user to run it as.",
        hint="Create one: useradd --system postgres; or run Strongroom as an ordinary user.",
    )


def process_options(account: ServiceAccount | None) -> dict[str, Any]:
    """The keyword arguments that make `subprocess` run a program as the account."""
    options: dict[str, Any] = {"env": dict(_BASE_ENVIRONMENT), "cwd": "/", "stdin": subprocess.DEVNULL}
    if account is not None:
        options |= {"user": account.uid, "group": account.gid, "extra_groups": []}
    return options


def run_as(
    account: ServiceAccount | None,
    arguments: Sequence[str | Path],
    *,
    environment: Mapping[str, str] | None = None,
    timeout_seconds: float | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end as the account, with a clean environment, and keep what it printed."""
    options = process_options(account)
    options["env"] |= dict(environment or {})
    return subprocess.run(
        [str(argument) for argument in arguments],
        capture_output=True,
        text=True,
        errors="replace",
        timeout=timeout_seconds,
        check=False,
        **options,
    )


def can_execute(account: ServiceAccount | None, program: Path) -> bool:
    """Whether the account can run the program: found out by running it."""
    try:
        return run_as(account, [program, "--version"], timeout_seconds=30).returncode == 0
    except (OSError, subprocess.SubprocessError):
        return False


def can_enter(account: ServiceAccount | None, directory: Path) -> bool:
    """Whether the account can enter the directory: found out by entering it."""
    return run_as(account, ["/bin/sh", "-c", 'cd -- "$1"', "sh", directory]).returncode == 0


def own_directory(directory: Path, account: ServiceAccount | None, *, setting: str) -> None:
    """Make a directory (and its parents) that the account alone owns, mode 0700.

    Args:
        directory: where.
        account: its owner; None for ourselves.
        setting: the name of the setting that chose the place, for the error.

    Raises:
        UnreachableDirectoryError: the account cannot get there.
    """
    _make_passable(directory.absolute().parent)
    directory.mkdir(exist_ok=True)
    directory.chmod(0o700)
    if account is not None:
        os.chown(directory, account.uid, account.gid)
    if not can_enter(account, directory):
        raise UnreachableDirectoryError(
            f"The directory {directory} cannot be entered by the user"
            f" {account.name if account else 'that runs this'}, as whom PostgreSQL runs:"
            f" {_first_closed(directory, account)} is closed to it.",
            hint=f"Choose another place with `{setting}`, or open the way: chmod o+x DIRECTORY.",
        )


def _make_passable(directory: Path) -> None:
    """Make missing parents so that the account can pass through, whatever the umask."""
    if not directory.is_dir():
        _make_passable(directory.parent)
        directory.mkdir(exist_ok=True)
        directory.chmod(0o711)


def _first_closed(directory: Path, account: ServiceAccount | None) -> Path:
    for candidate in (*reversed(directory.resolve().parents), directory):
        if not can_enter(account, candidate):
            return candidate
    return directory
