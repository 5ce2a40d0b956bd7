"""What a command needs before it starts: the services, and who runs it."""

from __future__ import annotations

import getpass
import os
import pwd
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Annotated

import typer

from strongroom.access import Actor, ActorKind, Role
from strongroom.cli.output import err
from strongroom.errors import StrongroomError
from strongroom.services import Services
from strongroom.settings import load_settings

JsonOption = Annotated[bool, typer.Option("--json", help="Answer with one JSON document.")]
DatabaseArgument = Annotated[str, typer.Argument(help="The database's name in its policy file.")]

_settings_file: Path | None = None


def set_settings_file(path: Path | None) -> None:
    """Remember the settings file that the command line named."""
    global _settings_file
    _settings_file = path


def services() -> Services:
    """The services of this installation."""
    return Services(load_settings(_settings_file))


def actor() -> Actor:
    """The person at this terminal. Whoever can read the settings and keys of this host operates it."""
    return Actor(getpass.getuser(), ActorKind.COMMAND, frozenset({Role.OPERATOR}))


def account() -> Actor:
    """The account that this process runs as, by its number, where two different people are needed.

    The environment, which `actor` goes by, names whoever its owner likes.
    """
    return command_account(pwd.getpwuid(os.getuid()).pw_name)


def command_account(name: str) -> Actor:
    """An account of this host, at the command line."""
    return Actor(name, ActorKind.COMMAND, frozenset({Role.OPERATOR}))


@contextmanager
def recorded(service: Services) -> Iterator[None]:
    """Publish what the block recorded, also when it fails: then the block's own error is the one that is told.

    Without a control database it went into a journal, and where that is, is told.
    """
    if not service.has_control_database:
        try:
            yield
        finally:
            _tell_journal(service)
        return
    try:
        yield
    except BaseException:
        with suppress(StrongroomError):
            service.seal_audit_log(actor())
        raise
    service.seal_audit_log(actor())


def _tell_journal(service: Services) -> None:
    state = service.journal.publish()
    if state is None:
        return
    trust = f" --trust '{state.signer}'" if state.own_key else ""
    err.print(
        f"No control database is set: {state.events} events were recorded in {state.path}", markup=False
    )
    if state.kept:
        err.print(f"and in {state.kept}", markup=False)
        command = f"strongroom audit import{trust}"
    else:
        err.print(f"and nowhere else ({state.refused}). Keep that file and the one beside it.", markup=False)
        command = f"strongroom audit import{trust} {state.path.name}"
    err.print(f"Where the control database is, this takes them into the audit log:  {command}", markup=False)


def recorded_where_possible(service: Services) -> AbstractContextManager[None]:
    """As `recorded`, on an installation without a control database as nothing: there is nowhere to record."""
    return recorded(service) if service.has_control_database else nullcontext()
