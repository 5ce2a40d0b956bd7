"""Making the keys of an installation: the signing key, the key file, the first epoch, the escrow recipient.

Each that exists stays as it is, so that doing it again is harmless.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from strongroom.access import Actor, Permission, require
from strongroom.audit import Event, EventType, Target
from strongroom.errors import ConfigurationError
from strongroom.settings import FileKeySettings
from strongroom.signing import SignerKey

if TYPE_CHECKING:
    from strongroom.sealing import Epoch
    from strongroom.services import Services

BACKUP_PURPOSE = "backup"
DEFAULT_LIFETIME = timedelta(days=365)


@dataclass(frozen=True)
class KeyCreation:
    """What `initialise_keys` made, and what there is now."""

    signing_key: Path | None
    """The new signing key's file; None when there was one."""
    key_file: Path | None
    """The new key file; None when there was one or a key service is used."""
    epoch: Epoch
    escrows: Sequence[Epoch]


def initialise_keys(
    services: Services,
    actor: Actor,
    *,
    name: str,
    escrow: str | None = None,
    lifetime: timedelta | None = DEFAULT_LIFETIME,
) -> KeyCreation:
    """Make what is missing of an installation's keys.

    Args:
        services: of the installation; its settings name the files.
        actor: who asks; needs `manage_keys`.
        name: the signing key's name, which is the log's origin: a name of yours, such as `backups.example.org`.
        escrow: a recipient whose private half is kept away from every machine here.
        lifetime: how long the first epoch may seal; it opens what it sealed for ever.

    Raises:
        AccessDeniedError: the actor may not.
        ConfigurationError: the settings name no signing key or no key provider.
        KeyTextError: the escrow recipient is none.
    """
    require(actor, Permission.MANAGE_KEYS)
    signing_key = _make_signing_key(services, name)
    key_file = _make_key_file(services)
    epoch = _first_epoch(services, actor, lifetime)
    escrows = _escrows(services, actor, escrow)
    return KeyCreation(signing_key, key_file, epoch, escrows)


def write_escrow_identity(path: Path) -> str:
    """Make an escrow key in a new file (mode 0600), to be moved to where it is safe; returns its recipient.

    Raises:
        InputError: the file exists or cannot be written.
    """
    from strongroom.files import new_private_file
    from strongroom.sealing import X25519Identity

    identity = X25519Identity.generate()
    with new_private_file(path) as file:
        file.write(f"# public key: {identity.recipient}\n{identity}\n".encode())
    return str(identity.recipient)


def _make_signing_key(services: Services, name: str) -> Path | None:
    path = services.settings.signing_key
    if path is None:
        raise ConfigurationError(
            "The settings name no signing key.", hint="Set `signing_key` to a path; the file is made there."
        )
    if path.exists():
        return None
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(SignerKey.generate(name).encode() + "\n")
    return path


def _make_key_file(services: Services) -> Path | None:
    from strongroom.sealing import LocalKeyProvider

    keys = services.settings.keys
    if keys is None:
        raise ConfigurationError(
            "The settings name no key provider.",
            hint="Set `keys` to {provider: file, path: …} or {provider: aws-kms, key_id: …}.",
        )
    if not isinstance(keys, FileKeySettings) or keys.path.exists():
        return None
    keys.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    LocalKeyProvider.generate(keys.path, keys.passphrase())
    return keys.path


def _first_epoch(services: Services, actor: Actor, lifetime: timedelta | None) -> Epoch:
    from strongroom.sealing import EpochExpiredError, EpochNotFoundError

    try:
        return services.keyring.current(BACKUP_PURPOSE)
    except (EpochNotFoundError, EpochExpiredError):
        pass
    provider = services.provider
    if provider is None:
        raise ConfigurationError("The settings name no key provider.", hint="Set `keys`.")
    with _recorded(services, actor, EventType.KEY_EPOCH_CREATE) as announce:
        return services.keyring.create_epoch(
            purpose=BACKUP_PURPOSE,
            provider=provider,
            signer=services.signer,
            lifetime=lifetime,
            announce=announce,
        )


def _escrows(services: Services, actor: Actor, recipient: str | None) -> list[Epoch]:
    if recipient is not None:
        with _recorded(services, actor, EventType.KEY_ESCROW_ADD) as announce:
            services.keyring.add_escrow(recipient, services.signer, announce=announce)
    return [epoch for epoch in services.keyring.epochs() if epoch.purpose == "escrow"]


@contextmanager
def _recorded(services: Services, actor: Actor, event_type: EventType) -> Iterator[Callable[[Epoch], None]]:
    """Record the key that the block is about to write, by its name, and then what became of it."""
    announced: list[Target] = []

    def announce(epoch: Epoch) -> None:
        announced.append(Target("key", f"keys/{epoch.id}"))
        _emit(services, Event(event_type, "attempt", actor, announced[0]))

    try:
        yield announce
    except BaseException as error:
        for target in announced:
            name = type(error).__name__
            _emit(services, Event(event_type, "result", actor, target, outcome="failure", error_class=name))
        raise
    for target in announced:
        _emit(services, Event(event_type, "result", actor, target, outcome="success"))


def _emit(services: Services, event: Event) -> None:
    with services.engine.begin() as connection:
        services.sink.emit(connection, event)
