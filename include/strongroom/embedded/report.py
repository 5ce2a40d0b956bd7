"""`status`, `logs`, `tools`: what runs, where it logs, what tests find on this machine."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from strongroom.embedded.errors import StateFolderError
from strongroom.embedded.folder import StateFolder
from strongroom.embedded.state import PartRecord, State
from strongroom.embedded.tail import follow, last_lines

PART_NAMES = ("control", "shop", "seaweedfs", "api-server", "scheduler", "dag-processor", "triggerer")
_TOOLS: Mapping[str, tuple[str, str]] = {
    "age": ("age", "another implementation of the encryption format"),
    "zstd": ("zstd", "the compressor's own command"),
    "jq": ("jq", "reading JSON from shell examples"),
    "/usr/lib/postgresql/15/bin/postgres": ("postgresql-15", "a second server version, with TLS"),
}


def print_status(folder: StateFolder) -> bool:
    """Print a line per part.

    Returns:
        Whether every part runs.
    """
    parts = State.load(folder.state).parts
    alive = [_print_part(name, parts.get(name)) for name in PART_NAMES]
    print(f"State and logs: {folder.link}")
    return all(alive)


def _print_part(name: str, record: PartRecord | None) -> bool:
    if record is None:
        print(f"{name:14} stopped")
        return False
    if not record.alive():
        print(f"{name:14} DIED      log: {record.log_path}")
        return False
    ports = ", ".join(f"{purpose} {port}" for purpose, port in record.ports.items())
    print(f"{name:14} running   process {record.pid}   {ports}\n{'':14}           log: {record.log_path}")
    return True


def print_logs(folder: StateFolder, part: str | None) -> None:
    """Print the end of every log, or follow one.

    Raises:
        StateFolderError: no such log.
    """
    if part is not None:
        _follow(folder, part)
        return
    for path in sorted(folder.logs.glob("*.log")):
        print(f"==> {path} <==\n{last_lines(path, 5)}\n")
    print(f"Tasks' logs: {folder.logs / 'airflow'}   One log, followed: make logs PART=scheduler")


def _follow(folder: StateFolder, part: str) -> None:
    path = folder.log(part)
    if not path.is_file():
        known = ", ".join(sorted(item.stem for item in folder.logs.glob("*.log"))) or "none yet"
        raise StateFolderError(f"There is no log of {part}.", hint=f"There are: {known}.")
    for line in follow(path):
        print(line, flush=True)


def check_tools() -> bool:
    """Say which programs of the machine tests will miss.

    Returns:
        Whether tests can go on: always on a laptop, in CI only with all of them.
    """
    missing = {name: why for name, why in _TOOLS.items() if not _there(name)}
    for package, why in missing.values():
        print(f"Missing: {package} ({why}); the tests that need it are skipped.", file=sys.stderr)
    if missing and os.environ.get("CI") == "true":
        packages = " ".join(package for package, _ in missing.values())
        print(f"CI must have them: apt-get install {packages}", file=sys.stderr)
        return False
    return True


def _there(name: str) -> bool:
    return Path(name).exists() if name.startswith("/") else shutil.which(name) is not None
