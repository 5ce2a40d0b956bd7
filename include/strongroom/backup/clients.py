"""Running PostgreSQL's client programs: the password in the environment, the complaints kept."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Any

from psycopg.conninfo import conninfo_to_dict, make_conninfo

from strongroom.backup.errors import (
    DamagedSourceError,
    IncrementalRefusedError,
    SourceFailedError,
    SourceNotReadyError,
)
from strongroom.errors import StrongroomError
from strongroom.postgres import DatabaseLoginError

_LAST_LINES = 8
_POLL_SECONDS = 0.02
_LOGIN = ("authentication failed", "no pg_hba.conf entry", "no password supplied", "permission denied")
_SETTINGS = ("must be superuser or replication role", "SSL support is not compiled in", "incompatible server")
_NO_INCREMENTAL = (
    "WAL summar",
    "found in manifest",
    "manifest requires WAL",
    "incremental backups cannot",
    "support incremental",
)


class Client:
    """One run of a client program that connects to the source.

    Args:
        program: its path.
        arguments: without the connection.
        conninfo: the source; its password goes into the program's environment, where only its own user and
            root can read it, never into its arguments, which everybody can.
        stdout: where its output goes.
        stdin: what it reads; nothing without it.
        dbname: the database, instead of the one that `conninfo` names.
    """

    def __init__(
        self,
        program: Path,
        arguments: Sequence[str],
        conninfo: str,
        *,
        stdout: int | IO[Any] | None,
        stdin: IO[Any] | None = None,
        dbname: str | None = "replication",
    ) -> None:
        parameters = conninfo_to_dict(conninfo)
        environment = dict(os.environ)
        for name, variable in (("password", "PGPASSWORD"), ("sslpassword", "PGSSLPASSWORD")):
            if value := parameters.pop(name, None):
                environment[variable] = str(value)
        if dbname is not None:
            parameters["dbname"] = dbname
        self.name = program.name
        self._complaints: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `end`
        self.process = subprocess.Popen(
            [str(program), *arguments, "--no-password", f"--dbname={make_conninfo('', **parameters)}"],
            stdin=stdin or subprocess.DEVNULL,
            stdout=stdout,
            stderr=self._complaints,
            env={**environment, "LC_ALL": "C", "LC_MESSAGES": "C"},
        )

    def finish(self, alive: Callable[[], None] | None = None) -> None:
        """Wait for its end.

        Args:
            alive: called while waiting; an exception from it ends the program.

        Raises:
            StrongroomError: it failed; which branch says whether trying again can help.
        """
        while alive is not None and self.process.poll() is None:
            alive()
            time.sleep(_POLL_SECONDS)
        if self.process.wait() != 0:
            raise self._failure()

    def end(self) -> None:
        """End the program if it still runs, and let go of what it held. Harmless after `finish`."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()
        self._complaints.close()

    def complaints(self) -> str:
        """The last lines of what the program complained about."""
        self._complaints.seek(0)
        text = self._complaints.read(1 << 20).decode(errors="replace")
        return "\n".join(text.strip().splitlines()[-_LAST_LINES:])

    def _failure(self) -> StrongroomError:
        return source_failure(self.name, self.complaints() or f"exit status {self.process.returncode}")


def source_failure(who: str, said: str) -> StrongroomError:
    """The error for what a client program or the server complained about; its kind says whether to try again."""
    if "checksum" in said and ("verification fail" in said or "checksum error" in said):
        return DamagedSourceError(
            f"The source has damaged pages; {who} said:\n{said}",
            hint="Look at its log and its disks before anything else; keep the last proven backup.",
        )
    if any(phrase in said for phrase in _LOGIN):
        return DatabaseLoginError(
            f"The source refused the replication connection; {who} said:\n{said}",
            hint="pg_hba.conf needs a line for the database `replication` and the backup's user.",
        )
    if any(phrase in said for phrase in _NO_INCREMENTAL):
        return IncrementalRefusedError(
            f"The source cannot make an incremental backup; {who} said:\n{said}",
            hint="Take a full backup: `strongroom backup run DATABASE --full`.",
        )
    if any(phrase in said for phrase in _SETTINGS):
        return SourceNotReadyError(f"The source cannot be read; {who} said:\n{said}")
    return SourceFailedError(
        f"The connection to the source broke; {who} said:\n{said}",
        hint="Is the server running, and does it have a free max_wal_senders? The next run starts anew.",
    )
