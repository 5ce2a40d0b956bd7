"""What can go wrong with a PostgreSQL server, its programs and its connections."""

from strongroom.errors import (
    AccessDeniedError,
    ConfigurationError,
    InputError,
    RefusedError,
    StrongroomError,
    TransientError,
)


class PostgresError(StrongroomError):
    """A server or one of its programs did not do what it was asked."""


class NoSuchServerVersionError(ConfigurationError):
    """No server programs of the wanted major version are on this machine."""


class UnreachableDirectoryError(ConfigurationError):
    """The unprivileged user that servers run as cannot enter a directory it needs."""


class SocketPathTooLongError(ConfigurationError):
    """A Unix socket's path would exceed the 107 bytes that the kernel allows."""


class ServerStartError(PostgresError):
    """A server did not start; the message carries its log's last lines."""


class ServerStopError(PostgresError):
    """A server did not stop in time."""


class ScratchFullError(TransientError):
    """The scratch area has no room left."""


class DatabaseUnreachableError(TransientError):
    """The server does not answer, or the connection broke."""


class DatabaseLoginError(ConfigurationError):
    """The server answered and refused the login: user, password, database or pg_hba.conf."""


class MissingPrivilegeError(AccessDeniedError):
    """The database user lacks a privilege; the hint holds the exact statements that grant it."""


class InvalidLsnError(InputError):
    """A text is no log sequence number (`X/X` in hexadecimal)."""


class LockHeldError(RefusedError):
    """Another session holds the advisory lock."""
