"""The directory of a restore: whether it may be used, and what a run leaves in it.

<directory>/
    restore.json        which plan, how far, whose process; what a failed run leaves is known by it
    data/               the restored cluster; there only once everything has succeeded
    data.incomplete/    the same before that: a run that was killed leaves it so
    data.failed/        and after a failure, with the reason in RESTORE_FAILED
    staging/            parts of a chain before they are combined
    tablespaces/<oid>/  where the cluster has tablespaces
    spool/              the log on its way to recovery
    s/                  the server's socket
    server.log
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from strongroom.backup.restoring.errors import DirectoryInUseError
from strongroom.backup.restoring.plan import RestorePlan
from strongroom.clock import timestamp
from strongroom.postgres import ServiceAccount, service_account
from strongroom.postgres.account import own_directory
from strongroom.postgres.cluster import remove_tree
from strongroom.postgres.processes import ProcessIdentity, end_postmaster

STATE_NAME = "restore.json"
FAILED_NAME = "RESTORE_FAILED"
STATE_FORMAT = "strongroom/restore-state/v1"
_DATA_FOLDERS = ("data.incomplete", "data.failed")
_OWN_FOLDERS = (*_DATA_FOLDERS, "staging", "tablespaces", "spool", "s")
_OWN_FILES = (STATE_NAME, f"{STATE_NAME}.new", FAILED_NAME, "server.log")


@dataclass(frozen=True)
class RestorePlace:
    """A restore's directory and the user that its server runs as."""

    directory: Path
    account: ServiceAccount | None

    @property
    def incomplete(self) -> Path:
        """The data directory while the restore is on its way."""
        return self.directory / "data.incomplete"

    @property
    def data(self) -> Path:
        """The data directory once it is done."""
        return self.directory / "data"

    @property
    def staging(self) -> Path:
        """Where the parts of a chain are unpacked."""
        return self.directory / "staging"

    @property
    def tablespaces(self) -> Path:
        """Where tablespaces are unpacked."""
        return self.directory / "tablespaces"

    @property
    def spool(self) -> Path:
        """Where the log is kept ready."""
        return self.directory / "spool"

    @property
    def sockets(self) -> Path:
        """Where the server's socket is."""
        return self.directory / "s"

    @property
    def log(self) -> Path:
        """The server's log."""
        return self.directory / "server.log"


def place_for(directory: Path) -> RestorePlace:
    """The place at a directory; its server runs as the directory's owner, where we may choose.

    Raises:
        ConfigurationError: we are root, and there is no user to run a server as.
    """
    directory = directory.absolute()
    account = service_account()
    if account is not None and directory.is_dir():
        account = _owner(directory) or account
    return RestorePlace(directory, account)


def _owner(directory: Path) -> ServiceAccount | None:
    status = directory.stat()
    if status.st_uid == 0:
        return None
    import pwd

    with contextlib.suppress(KeyError):
        entry = pwd.getpwuid(status.st_uid)
        return ServiceAccount(entry.pw_name, entry.pw_uid, entry.pw_gid)
    return None


def check_place(place: RestorePlace, database: str, requested: str) -> int:
    """Let a directory pass that is free, or that holds no more than a failed restore to the same target left.

    Returns:
        How many bytes such remains take, which the next run frees.

    Raises:
        DirectoryInUseError: it holds anything else; the message says what.
    """
    if not place.directory.exists() and not place.directory.is_symlink():
        return 0
    if not place.directory.is_dir():
        raise _in_use(place, "is no directory")
    names = {path.name for path in place.directory.iterdir()}
    if not names:
        return 0
    state = read_state(place)
    if state is None:
        raise _in_use(place, f"is not empty: it holds {_some(names)}")
    _check_remains(place, state, names, database, requested)
    return sum(_sizes(place, names))


def _check_remains(
    place: RestorePlace, state: dict[str, Any], names: set[str], database: str, requested: str
) -> None:
    foreign = names - set(_OWN_FOLDERS) - set(_OWN_FILES)
    if state.get("state") == "done" or "data" in names:
        raise _in_use(place, "holds a restored cluster")
    if _owner_alive(state):
        raise _in_use(place, "is being restored into now")
    if foreign:
        raise _in_use(place, f"holds more than a failed restore left: {_some(foreign)}")
    plan = state.get("plan", {})
    if (plan.get("database"), plan.get("requested")) != (database, requested):
        raise _in_use(
            place, f"holds what a failed restore of {plan.get('database')} {plan.get('requested')} left"
        )


def prepare_place(place: RestorePlace, plan: RestorePlan, now: datetime) -> None:
    """Clear away what a failed run left, and claim the directory for this one.

    Raises:
        DirectoryInUseError: it is not free.
        UnreachableDirectoryError: the user that servers run as cannot enter it.
    """
    check_place(place, plan.database, plan.requested)
    for folder in _DATA_FOLDERS:
        end_postmaster(place.directory / folder)
    for folder in _OWN_FOLDERS:
        remove_tree(place.directory / folder)
    for name in (FAILED_NAME, "server.log"):
        (place.directory / name).unlink(missing_ok=True)
    own_directory(place.directory, place.account, setting="--into")
    owner = ProcessIdentity.own()
    write_state(
        place,
        {
            "state": "running",
            "plan": plan.document(),
            "plan_sha256": plan.sha256,
            "process": {"pid": owner.pid, "start_ticks": owner.start_ticks},
            "started_at": timestamp(now),
        },
    )


@contextlib.contextmanager
def claimed(place: RestorePlace) -> Iterator[None]:
    """Keep other runs out of the directory.

    Raises:
        DirectoryInUseError: another run restores into it now.
    """
    own_directory(place.directory, place.account, setting="--into")
    descriptor = os.open(place.directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        raise _in_use(place, "is being restored into now") from error
    finally:
        os.close(descriptor)


def mark_done(place: RestorePlace, plan: RestorePlan, report: dict[str, Any]) -> None:
    """Give the finished data directory its name, and say what it is."""
    remove_tree(place.spool)
    remove_tree(place.staging)
    state = {"state": "done", "plan": plan.document(), "plan_sha256": plan.sha256, "report": report}
    place.incomplete.rename(place.data)
    write_state(place, state)


def mark_failed(place: RestorePlace, plan: RestorePlan, error: BaseException, now: datetime) -> None:
    """Take the data directory out of the way of anybody who might start it, and write down why.

    A disk that is full or gone is no reason to hide the failure itself.
    """
    with contextlib.suppress(OSError):
        end_postmaster(place.incomplete)
    with contextlib.suppress(OSError):
        remove_tree(place.spool)
        remove_tree(place.staging)
    with contextlib.suppress(OSError):
        if place.incomplete.is_dir():
            place.incomplete.rename(place.directory / "data.failed")
    reason = f"{type(error).__name__}: {error}"
    with contextlib.suppress(OSError):
        (place.directory / FAILED_NAME).write_text(
            f"This restore did not succeed; do not start what is here.\n{reason}\n"
        )
        state = {"state": "failed", "error": reason, "failed_at": timestamp(now)}
        write_state(place, {**state, "plan": plan.document(), "plan_sha256": plan.sha256})


def read_state(place: RestorePlace) -> dict[str, Any] | None:
    """The state that a run wrote; None when there is none, or it is none of ours."""
    try:
        state = json.loads((place.directory / STATE_NAME).read_text())
    except (OSError, ValueError):
        return None
    return state if isinstance(state, dict) and state.get("format") == STATE_FORMAT else None


def write_state(place: RestorePlace, state: dict[str, Any]) -> None:
    """Replace the state in one step."""
    path = place.directory / STATE_NAME
    coming = path.with_suffix(".json.new")
    try:
        coming.write_text(json.dumps({"format": STATE_FORMAT, **state}, indent=2, default=str) + "\n")
        coming.replace(path)
    finally:
        coming.unlink(missing_ok=True)


def _owner_alive(state: dict[str, Any]) -> bool:
    process = state.get("process")
    if state.get("state") != "running" or not isinstance(process, dict):
        return False
    return ProcessIdentity(int(process["pid"]), int(process["start_ticks"])).alive()


def _sizes(place: RestorePlace, names: set[str]) -> Iterator[int]:
    for name in names & set(_OWN_FOLDERS):
        for folder, _, files in os.walk(place.directory / name):
            for file in files:
                with contextlib.suppress(OSError):
                    yield (Path(folder) / file).lstat().st_size


def _some(names: set[str]) -> str:
    shown = sorted(names)[:3]
    return ", ".join(shown) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _in_use(place: RestorePlace, why: str) -> DirectoryInUseError:
    return DirectoryInUseError(
        f"The directory {place.directory} {why}.",
        hint="Choose one that is empty or does not exist yet; a restore never goes over anything.",
    )
