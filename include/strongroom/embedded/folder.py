"""The state folder: everything that `make up` makes, in one place that git ignores.

    .strongroom/
        settings.yaml        the settings that `strongroom` and Airflow read              0600
        state.json           the parts that run: process, ports, log; what was done once  0600
        credentials.json     generated passwords and keys                                 0600
        lock                 held while parts are started or stopped
        escrow.key           opens every backup; to be moved off this machine             0600
        keys/                the signing key and the key that opens backups here          0700
        postgres/control/    control database and Airflow's metadata
        postgres/shop/       the protected sample database
        s3/                  SeaweedFS: the bucket
        airflow/             Airflow's home
        scratch/             servers that backups are restored into
        restored/            what the `restore` pipeline brings back
        logs/                one file per part; airflow/ holds the tasks' logs

The folder can be entered (not read) by other users, because PostgreSQL runs as an unprivileged one when we
are root. Where the checkout itself cannot be, as below /root, the folder lies in /var/lib/strongroom and
`.strongroom` is a link to it.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import itertools
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from strongroom.embedded.errors import StateFolderError, StateInUseError
from strongroom.postgres.account import can_enter, service_account

REPOSITORY = Path(__file__).resolve().parents[3]
STATE_VARIABLE = "STRONGROOM_STATE"
_ELSEWHERE = Path("/var/lib/strongroom")
_PRIVATE = ("keys", "s3", "airflow")
_PASSABLE = ("postgres", "scratch", "restored", "logs")


@dataclass(frozen=True)
class StateFolder:
    """The places in a state folder.

    Attributes:
        link: where people look for it.
        path: where it really is.
        repository: the checkout whose DAGs and policies run.
    """

    link: Path
    path: Path
    repository: Path = REPOSITORY

    @property
    def settings(self) -> Path:
        """The settings file."""
        return self.path / "settings.yaml"

    @property
    def state(self) -> Path:
        """The list of parts."""
        return self.path / "state.json"

    @property
    def credentials(self) -> Path:
        """Generated passwords and keys."""
        return self.path / "credentials.json"

    @property
    def logs(self) -> Path:
        """One log per part."""
        return self.path / "logs"

    @property
    def airflow_home(self) -> Path:
        """Airflow's own folder."""
        return self.path / "airflow"

    @property
    def scratch(self) -> Path:
        """Where scratch servers live."""
        return self.path / "scratch"

    @property
    def restored(self) -> Path:
        """Where the `restore` pipeline may make directories."""
        return self.path / "restored"

    def log(self, name: str) -> Path:
        """One part's log."""
        return self.logs / f"{name}.log"

    def escrow_keys(self) -> list[Path]:
        """Escrow keys that still lie here, though they should be kept elsewhere."""
        return sorted(self.path.glob("escrow*.key"))

    def unused_escrow_key(self) -> Path:
        """A new file's name for an escrow key; one that a broken start left is never overwritten."""
        names = itertools.chain(["escrow.key"], (f"escrow-{number}.key" for number in itertools.count(2)))
        return next(path for name in names if not (path := self.path / name).exists())

    def exists(self) -> bool:
        """Whether anything was ever started from here."""
        return self.path.is_dir()

    def prepare(self) -> None:
        """Make the folder and those in it; harmless when they are there.

        Raises:
            StateFolderError: something that is not ours is in the way.
        """
        if self.path != self.link and not self.link.is_symlink():
            if self.link.exists():
                raise StateFolderError(
                    f"{self.link} is a directory that PostgreSQL's user cannot enter.",
                    hint="Move it away, or clone the project where every user may enter, such as /srv.",
                )
            _make(self.path, 0o711)
            self.link.symlink_to(self.path, target_is_directory=True)
        _make(self.path, 0o711)
        for name in _PRIVATE:
            _make(self.path / name, 0o700)
        for name in _PASSABLE:
            _make(self.path / name, 0o711)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder for starting or stopping parts.

        Raises:
            StateInUseError: another process holds it.
        """
        with (self.path / "lock").open("a+") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                handle.seek(0)
                owner = handle.read().strip() or "unknown"
                raise StateInUseError(
                    f"Another make up or make down works on {self.link} (process {owner}).",
                    hint="Wait for it, or interrupt it with Ctrl-C where it runs.",
                ) from None
            handle.truncate(0)
            handle.write(str(os.getpid()))
            handle.flush()
            yield

    def remove(self) -> None:
        """Delete the folder and all data in it."""
        if self.link.is_symlink():
            self.link.unlink()
        shutil.rmtree(self.path)


def state_folder(link: Path | None = None) -> StateFolder:
    """The state folder of this checkout, or the one that STRONGROOM_STATE names."""
    named = os.environ.get(STATE_VARIABLE)
    link = (link or (Path(named) if named else REPOSITORY / ".strongroom")).absolute()
    if link.is_symlink():
        return StateFolder(link, link.resolve())
    account = service_account()
    if account is None or can_enter(account, _existing_parent(link)):
        return StateFolder(link, link)
    digest = hashlib.sha256(os.fsencode(link)).hexdigest()[:12]
    return StateFolder(link, _ELSEWHERE / digest)


def _existing_parent(path: Path) -> Path:
    return next(parent for parent in path.parents if parent.is_dir())


def _make(directory: Path, mode: int) -> None:
    missing = [parent for parent in directory.parents if not parent.exists()]
    for parent in reversed(missing):
        parent.mkdir(exist_ok=True)
        parent.chmod(0o711)
    directory.mkdir(exist_ok=True)
    directory.chmod(mode)
