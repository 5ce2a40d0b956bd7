"""The exceptions every package builds on.

    StrongroomError                what went wrong, and what to do next        exit 1
    ├── InputError                 the caller's words, a policy, a setting     exit 2
    │   └── ConfigurationError
    ├── IntegrityError             data, a log or a key is not what it was     exit 3
    ├── NotFoundError              the named thing does not exist              exit 4
    ├── RefusedError               a role, a lock or a hold forbids it         exit 5
    │   └── AccessDeniedError
    └── TransientError             a server or a network failed; try again     exit 75

Each package adds its own in its `errors.py`, below one of these: the branch decides the exit code of the
command line and whether Airflow tries again.
"""

from __future__ import annotations

from typing import ClassVar


class StrongroomError(Exception):
    """Something Strongroom could not do.

    The message says what happened and to which thing. It never holds personal data or a secret.

    Args:
        message: what happened, to which thing.
        hint: what to do next, as a sentence.
    """

    exit_code: ClassVar[int] = 1
    """The exit status of a command that ends with this error."""

    retryable: ClassVar[bool] = False
    """Whether the same call may succeed later without anybody changing anything."""

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n{self.hint}" if self.hint else self.message

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild, (type(self), self.message, self.hint), self.__dict__)


def _rebuild(kind: type[StrongroomError], message: str, hint: str | None) -> StrongroomError:
    """Make an error again in another process, without its constructor's own arguments."""
    error = kind.__new__(kind)
    Exception.__init__(error, message)
    error.message, error.hint = message, hint
    return error


class InputError(StrongroomError):
    """What the caller gave cannot be used as it is."""

    exit_code = 2


class ConfigurationError(InputError):
    """A setting is missing, contradicts another, or names something that is not there."""


class IntegrityError(StrongroomError):
    """Something stored is not what was stored: altered, truncated, swapped, or not provable."""

    exit_code = 3


class NotFoundError(StrongroomError):
    """The thing that was named does not exist."""

    exit_code = 4


class RefusedError(StrongroomError):
    """A rule forbids this now: a lock, a hold, another run in progress."""

    exit_code = 5


class AccessDeniedError(RefusedError):
    """The actor's roles do not permit this."""


class TransientError(StrongroomError):
    """A server, a network or a disk failed in a way that may pass."""

    exit_code = 75
    retryable = True
