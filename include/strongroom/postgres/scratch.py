"""Scratch servers: a directory that lives as long as one run, and is gone afterwards whatever happens.

    <scratch root>/<name>.<pid>.<start ticks>.<4 hex>/
        data/        the data directory, owned by the account that servers run as
        s/           its socket directory (in /tmp when this path would be too long for a socket)
        server.log

The directory's name says which process owns it, so that the next run recognises what a killed one left.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from strongroom.errors import InputError
from strongroom.postgres.account import ServiceAccount, own_directory, service_account
from strongroom.postgres.binaries import ServerBinaries
from strongroom.postgres.cluster import Cluster, remove_tree
from strongroom.postgres.errors import ScratchFullError, SocketPathTooLongError
from strongroom.postgres.processes import ProcessIdentity, end_postmaster

_SETTING = "scratch_directory"
_NAME = re.compile(r"^(?P<name>[\w-]+)\.(?P<pid>\d+)\.(?P<ticks>\d+)\.[0-9a-f]{4}$")
_SOCKETS = "strongroom-socket-"


@dataclass(frozen=True)
class Scratch:
    """A scratch directory with an empty data directory in it."""

    directory: Path
    data_dir: Path
    binaries: ServerBinaries
    account: ServiceAccount | None

    def cluster(self, settings: Mapping[str, str] | None = None) -> Cluster:
        """The server on the data directory, with no network; not started yet."""
        arguments = {
            "log_path": self.directory / "server.log",
            "account": self.account,
            "settings": settings,
            "setting_name": _SETTING,
        }
        try:
            return Cluster(self.data_dir, self.binaries, socket_dir=self.directory / "s", **arguments)  # type: ignore[arg-type]
        except SocketPathTooLongError:
            short = Path(tempfile.gettempdir()) / f"{_SOCKETS}{self.directory.name.split('.', 1)[1]}"
            return Cluster(self.data_dir, self.binaries, socket_dir=short, **arguments)  # type: ignore[arg-type]


@contextmanager
def scratch_cluster(scratch_root: Path, binaries: ServerBinaries, name: str) -> Iterator[Scratch]:
    """A scratch directory; its server is ended and its files are deleted when the block is left.

    Args:
        scratch_root: where scratch directories lie (the setting `scratch_directory`).
        binaries: the programs of the server that will run in it.
        name: letters, digits, `-` and `_`.

    Raises:
        ScratchFullError: the disk filled up, also when an operation in the block met it.
        UnreachableDirectoryError: the account that servers run as cannot enter the place.
    """
    if not re.fullmatch(r"[\w-]+", name):
        raise InputError(f"A scratch directory's name holds letters, digits, '-' and '_'; got {name!r}")
    owner = ProcessIdentity.own()
    directory = scratch_root.absolute() / f"{name}.{owner.pid}.{owner.start_ticks}.{secrets.token_hex(2)}"
    with full_disk_named(scratch_root):
        account = service_account()
        try:
            own_directory(directory, account, setting=_SETTING)
            own_directory(directory / "data", account, setting=_SETTING)
            yield Scratch(directory, directory / "data", binaries, account)
        finally:
            _destroy(directory)


@contextmanager
def scratch_directory(scratch_root: Path, name: str) -> Iterator[Path]:
    """A private directory without a server, deleted when the block is left, or by the next run if this one is killed.

    Args:
        scratch_root: where scratch directories lie (the setting `scratch_directory`).
        name: letters, digits, `-` and `_`.

    Raises:
        ScratchFullError: the disk filled up, also when an operation in the block met it.
    """
    owner = ProcessIdentity.own()
    directory = scratch_root.absolute() / f"{name}.{owner.pid}.{owner.start_ticks}.{secrets.token_hex(2)}"
    with full_disk_named(scratch_root):
        directory.mkdir(mode=0o700, parents=True)
        try:
            yield directory
        finally:
            remove_tree(directory)


@contextmanager
def full_disk_named(scratch_root: Path) -> Iterator[None]:
    """Turn "no space left" of any operation in the block into an error that names the scratch area.

    Raises:
        ScratchFullError: in place of that OSError.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise ScratchFullError(
            f"The scratch area {scratch_root} is full.",
            hint="Free some room, or name a larger place with the setting `scratch_directory`.",
        ) from error


def remove_stale_scratch(scratch_root: Path) -> list[Path]:
    """Delete what killed runs left, their servers first; running processes' directories stay.

    Returns:
        The directories that were deleted.
    """
    if not scratch_root.is_dir():
        return []
    removed = []
    for directory in sorted(scratch_root.iterdir()):
        match = _NAME.fullmatch(directory.name)
        if match is None or not directory.is_dir():
            continue
        if not ProcessIdentity(int(match["pid"]), int(match["ticks"])).alive():
            _destroy(directory)
            removed.append(directory)
    return removed


def _destroy(directory: Path) -> None:
    if directory.is_dir():
        for data_dir in (directory / "data", *directory.glob("*/data*")):
            end_postmaster(data_dir)
        remove_tree(directory)
    remove_tree(Path(tempfile.gettempdir()) / f"{_SOCKETS}{directory.name.split('.', 1)[1]}")


def free_bytes(scratch_root: Path) -> int:
    """How much room the scratch area has for an unprivileged user."""
    status = os.statvfs(scratch_root)
    return status.f_bavail * status.f_frsize
