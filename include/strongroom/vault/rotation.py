"""A new epoch: from now on it is what is sealed to; older ones open what they sealed until it was rewrapped."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from strongroom.access import Actor, Permission, require
from strongroom.audit import AuditSink, EventType, Target
from strongroom.errors import AccessDeniedError
from strongroom.recording import RunLog
from strongroom.sealing import Epoch, KeyProvider, KeyRing
from strongroom.signing import SignerKey
from strongroom.vault.errors import NoPrivateKeyError

if TYPE_CHECKING:
    from sqlalchemy import Engine


@dataclass(frozen=True)
class RotationParts:
    """What a rotation works with; the composition root gives it."""

    keyring: KeyRing
    provider: KeyProvider | None
    engine: Engine
    sink: AuditSink
    signer: SignerKey


class KeyRotation:
    """Makes new epochs."""

    def __init__(self, parts: RotationParts) -> None:
        self._parts = parts

    def rotate(
        self,
        actor: Actor,
        *,
        purpose: str = "backup",
        lifetime: timedelta | None = None,
        post_quantum: bool = False,
    ) -> Epoch:
        """Make a new epoch of a purpose.

        Args:
            actor: who asks; needs `manage_keys`.
            purpose: what it seals.
            lifetime: how long it may seal; it opens what it sealed for ever. None: no end.
            post_quantum: make an X-Wing key.

        Raises:
            AccessDeniedError: the actor may not; the refusal is recorded.
            NoPrivateKeyError: this host has no key provider to wrap the private half.
            ConfigurationError: the provider is weaker than the key.
        """
        parts = self._parts
        log = RunLog(parts.engine, parts.sink, actor, None, Target("key", "keys"), None, uuid.uuid4().hex)
        try:
            require(actor, Permission.MANAGE_KEYS)
        except AccessDeniedError as error:
            details = {"permission": str(Permission.MANAGE_KEYS)}
            log.emit(EventType.ACCESS_PERMISSION_REFUSE, "result", "denied", details=details, error=error)
            raise
        if parts.provider is None:
            raise NoPrivateKeyError(
                "This host cannot make a key: nothing here could wrap its private half.",
                hint="Set `keys` in the settings, or rotate on the host that has it.",
            )
        announced: list[Target] = []

        def announce(epoch: Epoch) -> None:
            announced.append(Target("key", f"keys/{epoch.id}"))
            log.emit(EventType.KEY_EPOCH_CREATE, "attempt", target=announced[0])

        try:
            epoch = parts.keyring.create_epoch(
                purpose=purpose,
                provider=parts.provider,
                signer=parts.signer,
                lifetime=lifetime,
                post_quantum=post_quantum,
                announce=announce,
            )
        except BaseException as error:
            for target in announced:
                log.emit(EventType.KEY_EPOCH_CREATE, "result", "failure", target=target, error=error)
            raise
        log.emit(EventType.KEY_EPOCH_CREATE, "result", "success", target=announced[0])
        return epoch
