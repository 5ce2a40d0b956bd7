"""One PostgreSQL server on this machine: making its data directory, starting and stopping it."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from strongroom.postgres.account import ServiceAccount, own_directory, run_as
from strongroom.postgres.binaries import ServerBinaries
from strongroom.postgres.errors import (
    PostgresError,
    ScratchFullError,
    ServerStartError,
    ServerStopError,
    SocketPathTooLongError,
)
from strongroom.postgres.processes import end_postmaster, postmaster

SUPERUSER = "postgres"
_SOCKET_PORT = 5432
_SOCKET_PATH_BYTES = 107
_LOG_LINES = 25


class Cluster:
    """A data directory and the server that runs on it.

    The server listens on a Unix socket in a directory of its own (mode 0700, login without a password for
    whoever may enter), and on 127.0.0.1 when a port is given (login by password, SCRAM).

    Args:
        data_dir: the data directory; made by `initialise` or filled by a restore.
        binaries: the programs of the data directory's major version.
        account: whom the server runs as; None for ourselves.
        socket_dir: a directory for the socket, made when it is missing.
        port: a TCP port on 127.0.0.1; None for the Unix socket alone.
        log_path: the server's log.
        settings: configuration that outranks `postgresql.conf` and `postgresql.auto.conf`.
        setting_name: the setting that chose the place of `data_dir`, for errors.
    """

    def __init__(
        self,
        data_dir: Path,
        binaries: ServerBinaries,
        *,
        socket_dir: Path,
        log_path: Path,
        account: ServiceAccount | None = None,
        port: int | None = None,
        settings: Mapping[str, str] | None = None,
        setting_name: str = "scratch_directory",
    ) -> None:
        self.data_dir = data_dir.absolute()
        self.binaries = binaries
        self.account = account
        self.socket_dir = socket_dir.absolute()
        self.port = port
        self.log_path = log_path.absolute()
        self.settings = dict(settings or {})
        self.setting_name = setting_name
        _check_socket_path(self.socket_dir, port or _SOCKET_PORT)

    def initialise(
        self,
        options: Mapping[str, str] | None = None,
        *,
        password: str | None = None,
        wal_segment_megabytes: int = 16,
    ) -> None:
        """Make the data directory: UTF-8, C.UTF-8 order, data checksums.

        Args:
            options: lines for `postgresql.conf`.
            password: the superuser's password for logins over TCP.
            wal_segment_megabytes: how large the segments of its write-ahead log are.

        Raises:
            PostgresError: initdb failed; the message carries what it said.
            UnreachableDirectoryError: the account cannot enter the place.
        """
        own_directory(self.data_dir, self.account, setting=self.setting_name)
        arguments: list[str | Path] = [
            self.binaries.tool("initdb"),
            f"--pgdata={self.data_dir}",
            f"--username={SUPERUSER}",
            "--encoding=UTF8",
            "--data-checksums",
            "--auth-local=trust",
            "--auth-host=scram-sha-256",
            f"--wal-segsize={wal_segment_megabytes}",
            *_locale_arguments(self.binaries.major),
        ]
        done = run_as(self.account, arguments)
        if done.returncode != 0:
            raise PostgresError(
                f"The data directory {self.data_dir} could not be made: {_last_lines(done.stderr)}"
            )
        self._write_options(options or {})
        if password is not None:
            self._set_password(password)

    def _write_options(self, options: Mapping[str, str]) -> None:
        lines = [f"{name} = '{_quoted(value)}'\n" for name, value in options.items()]
        with (self.data_dir / "postgresql.conf").open("a") as configuration:
            configuration.writelines(lines)

    def _set_password(self, password: str) -> None:
        from psycopg import sql

        from strongroom.postgres.session import connect

        self.start()
        try:
            with connect(self.conninfo(), application_name="strongroom") as connection:
                statement = sql.SQL("ALTER ROLE {} PASSWORD {}")
                connection.execute(statement.format(sql.Identifier(SUPERUSER), sql.Literal(password)))
        finally:
            self.stop()

    def start(self, timeout_seconds: float = 60.0) -> None:
        """Start the server and wait until it takes connections (in recovery: until it is consistent).

        Raises:
            ServerStartError: it did not; the message carries its log's last lines.
            ScratchFullError: its disk is full.
        """
        own_directory(self.socket_dir, self.account, setting=self.setting_name)
        own_directory(self.data_dir, self.account, setting=self.setting_name)
        log_start = self._prepare_log()
        arguments: list[str | Path] = [
            self.binaries.tool("pg_ctl"),
            "start",
            "--wait",
            f"--timeout={max(1, round(timeout_seconds))}",
            f"--pgdata={self.data_dir}",
            f"--log={self.log_path}",
            f"--options={self._server_options()}",
        ]
        try:
            done = _run_detached(self.account, arguments, timeout_seconds + 30)
        except subprocess.TimeoutExpired:
            done = 1
        if done != 0:
            self._fail_start(log_start)

    def _fail_start(self, log_start: int) -> None:
        end_postmaster(self.data_dir)
        log = self._log_since(log_start)
        if "No space left on device" in log or "Disk quota exceeded" in log:
            raise ScratchFullError(
                f"The server of {self.data_dir} did not start: its disk is full.",
                hint=f"Free some room, or move it elsewhere with `{self.setting_name}`.",
            )
        raise ServerStartError(
            f"The server of {self.data_dir} did not start. Its log ends with:\n{_last_lines(log)}",
            hint=f"The whole log is in {self.log_path}.",
        )

    def stop(
        self, mode: Literal["smart", "fast", "immediate"] = "fast", timeout_seconds: float = 60.0
    ) -> None:
        """Stop the server; harmless when it does not run.

        Raises:
            ServerStopError: it still runs after the timeout.
        """
        if not self.running():
            return
        limit = f"--timeout={max(1, round(timeout_seconds))}"
        arguments = ["stop", "--wait", limit, f"--pgdata={self.data_dir}", f"--mode={mode}"]
        done = run_as(self.account, [self.binaries.tool("pg_ctl"), *arguments])
        if done.returncode != 0 and self.running():
            raise ServerStopError(
                f"The server of {self.data_dir} does not stop: {_last_lines(done.stderr)}",
                hint="Look for sessions that hold it; `stop('immediate')` does not wait for them.",
            )

    def running(self) -> bool:
        """Whether a server runs on the data directory."""
        return postmaster(self.data_dir) is not None

    def conninfo(self, dbname: str = "postgres") -> str:
        """A connection string for the superuser through the Unix socket."""
        from psycopg.conninfo import make_conninfo

        port = self.port or _SOCKET_PORT
        return make_conninfo(host=str(self.socket_dir), port=port, user=SUPERUSER, dbname=dbname)

    def _server_options(self) -> str:
        settings = {
            "unix_socket_directories": str(self.socket_dir),
            "unix_socket_permissions": "0700",
            "listen_addresses": "127.0.0.1" if self.port else "",
            "port": str(self.port or _SOCKET_PORT),
            "logging_collector": "off",
            **self.settings,
        }
        return " ".join(f"-c {shlex.quote(f'{name}={value}')}" for name, value in settings.items())

    def _prepare_log(self) -> int:
        """Make the log appendable by the account; returns its present size."""
        self.log_path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.log_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            if self.account is not None:
                os.fchown(descriptor, self.account.uid, self.account.gid)
            return os.fstat(descriptor).st_size
        finally:
            os.close(descriptor)

    def _log_since(self, start: int) -> str:
        with self.log_path.open("rb") as log:
            log.seek(start)
            return log.read(1 << 20).decode(errors="replace")


def remove_tree(directory: Path) -> None:
    """Delete a directory of a stopped server; one that is not there is fine."""
    try:
        shutil.rmtree(directory)
    except FileNotFoundError:
        return


def _run_detached(account: ServiceAccount | None, arguments: list[str | Path], timeout_seconds: float) -> int:
    """Run pg_ctl with no pipes: the server inherits its outputs and would hold a pipe open for ever."""
    from strongroom.postgres.account import process_options

    done = subprocess.run(
        [str(argument) for argument in arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        timeout=timeout_seconds,
        check=False,
        start_new_session=True,
        **process_options(account),
    )
    return done.returncode


def _locale_arguments(major: int) -> list[str]:
    """C.UTF-8 from PostgreSQL itself where it has it (17 on), else from the C library."""
    if major >= 17:
        return ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]
    return ["--locale=C.UTF-8"]


def _check_socket_path(socket_dir: Path, port: int) -> None:
    path = socket_dir / f".s.PGSQL.{port}"
    length = len(os.fsencode(path))
    if length > _SOCKET_PATH_BYTES:
        raise SocketPathTooLongError(
            f"The socket {path} has a path of {length} bytes; the kernel allows {_SOCKET_PATH_BYTES}.",
            hint="Choose a shorter directory.",
        )


def _quoted(value: str) -> str:
    return value.replace("\\", "\\\\").replace("'", "''")


def _last_lines(text: str, count: int = _LOG_LINES) -> str:
    return "\n".join(text.strip().splitlines()[-count:])
