"""The spool: where a restoring server finds its log, and says what it waits for.

    spool/
        own/<name>       what the backup brought itself; stays, so that it can be read twice
        ready/<name>     a whole, verified segment or history, taken away by recovery
        absent/<name>    confirmed: the archive's end has been reached
        asked/<name>     what recovery has asked for
        taken/<name>     what it has taken of that
        broken           nothing more will come
        fetch-wal.sh     the server's `restore_command`

PostgreSQL believes exit 1: it takes the log to be over and, without a target, opens the database with what it has.
So the script exits 0 only with a whole segment, 1 only for a confirmed end, and 255, which stops the server, for
everything else: a failed fetch, a full disk, a restoring process that is gone.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterable
from pathlib import Path

from strongroom.backup.restoring.configuration import write_file
from strongroom.postgres.account import ServiceAccount, own_directory
from strongroom.postgres.processes import ProcessIdentity

_SCRIPT = """\
# restore_command of a restore in progress: exit 0 a whole segment, 1 a confirmed end, 255 anything else
name=$1 to=$2
cd {spool} || exit 255
rm -f "taken/$name" && : > "asked/$name" || exit 255
while :; do
    if [ -f "own/$name" ]; then
        cp "own/$name" "$OLDPWD/$to" && exit 0
        exit 255
    fi
    if [ -f "ready/$name" ]; then
        mv "ready/$name" "$OLDPWD/$to" && : > "taken/$name" && exit 0
        exit 255
    fi
    [ -f "absent/$name" ] && exit 1
    [ -f broken ] && exit 255
    read -r line < /proc/{pid}/stat || exit 255
    set -- ${{line##*) }}
    [ "${{20}}" = {ticks} ] || exit 255
    sleep 0.02
done
"""
_SEGMENT = re.compile(r"[0-9A-F]{24}")
_HISTORY = re.compile(r"[0-9A-F]{8}\.history")
_FOLDERS = ("own", "ready", "absent", "asked", "taken", "coming")


class Spool:
    """The spool's files.

    Args:
        directory: where; on the data directory's own disk, so that a segment is handed over by renaming it.
        account: whom the server runs as.
    """

    def __init__(self, directory: Path, account: ServiceAccount | None) -> None:
        self.directory = directory
        self._account = account
        self.asked_ever: set[str] = set()

    def make(self) -> None:
        """Make the folders and the script, which works as long as this process lives."""
        own_directory(self.directory, self._account, setting="--into")
        for folder in _FOLDERS:
            own_directory(self.directory / folder, self._account, setting="--into")
        owner = ProcessIdentity.own()
        text = _SCRIPT.format(spool=shlex.quote(str(self.directory)), pid=owner.pid, ticks=owner.start_ticks)
        write_file(self.directory / "fetch-wal.sh", text)

    @property
    def own(self) -> Path:
        """Where the backup's own log lies."""
        return self.directory / "own"

    @property
    def restore_command(self) -> str:
        """The server's setting."""
        script = shlex.quote(str(self.directory / "fetch-wal.sh")).replace("%", "%%")
        return f"/bin/sh {script} %f %p"

    def adopt(self, pg_wal: Path) -> None:
        """Take over the log that the base backup brought in its own directory."""
        for path in pg_wal.iterdir():
            if path.is_file() and (_SEGMENT.fullmatch(path.name) or _HISTORY.fullmatch(path.name)):
                path.rename(self.own / path.name)

    def coming(self, name: str) -> Path:
        """The file that a fetch writes to."""
        return self.directory / "coming" / name

    def give(self, name: str) -> None:
        """Hand over what was fetched and verified."""
        path = self.coming(name)
        if self._account is not None:
            os.chown(path, self._account.uid, self._account.gid)
        path.rename(self.directory / "ready" / name)

    def confirm_absent(self, name: str) -> None:
        """Say that the log ends before this file."""
        (self.directory / "absent" / name).touch()

    def give_up(self) -> None:
        """Say that nothing more will come: the server stops, and opens nothing."""
        (self.directory / "broken").touch()

    def asked(self) -> list[str]:
        """What recovery asks for since the last look, oldest first."""
        asked = (self.directory / "asked").iterdir()
        found = [path.name for path in sorted(asked, key=lambda path: path.stat().st_mtime_ns)]
        for name in found:
            (self.directory / "asked" / name).unlink(missing_ok=True)
        self.asked_ever.update(found)
        return found

    def was_taken(self, name: str) -> bool:
        """Whether what was asked for last under that name has been taken already."""
        return (self.directory / "taken" / name).exists()

    def forget(self, name: str) -> None:
        """Make room: recovery has gone on."""
        (self.directory / "ready" / name).unlink(missing_ok=True)

    def ready(self) -> set[str]:
        """What lies ready."""
        return {path.name for path in (self.directory / "ready").iterdir()}

    def has_own(self, name: str) -> bool:
        """Whether the backup brought it."""
        return (self.own / name).is_file()

    def missing_own(self, names: Iterable[str]) -> list[str]:
        """Those of the names that the backup should have brought and did not."""
        return [name for name in names if not self.has_own(name)]
