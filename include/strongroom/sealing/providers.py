"""Who keeps an epoch's private half closed: a key file on this machine, or (in `kms.py`) AWS KMS."""

from __future__ import annotations

import io
import os
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from strongroom.errors import IntegrityError
from strongroom.sealing.context import UNCHECKED
from strongroom.sealing.errors import KeyFileError, KeyTextError, KeyUnwrapError, WrongKeyError
from strongroom.sealing.header import MAGIC
from strongroom.sealing.keytext import parse_identities
from strongroom.sealing.passphrase import PassphraseIdentity, PassphraseRecipient
from strongroom.sealing.recipients import Identity
from strongroom.sealing.stream import seal, unseal
from strongroom.sealing.x25519 import X25519Identity
from strongroom.sealing.xwing import XWingIdentity

_MAX_KEY_FILE_BYTES = 64 * 1024


@dataclass(frozen=True)
class WrappedKey:
    """A secret that only its provider can open."""

    provider: str
    """The provider's name: `local` or `aws-kms`."""

    key: str
    """Which of the provider's keys: the key file's recipient, or the KMS key's ARN."""

    context: Mapping[str, str]
    """What the secret is bound to; the provider refuses to open it for anything else."""

    data: bytes
    """An age file for `local`, a ciphertext blob for `aws-kms`."""


class KeyProvider(ABC):
    """Wraps secrets, and unwraps them for whoever may use it."""

    name: ClassVar[str]

    @property
    @abstractmethod
    def post_quantum(self) -> bool:
        """Whether what it wraps stays closed to a quantum computer."""

    @abstractmethod
    def wrap(self, secret: bytes, context: Mapping[str, str]) -> WrappedKey:
        """The secret, closed and bound to its context."""

    @abstractmethod
    def unwrap(self, wrapped: WrappedKey, context: Mapping[str, str]) -> bytes:
        """The secret.

        Raises:
            KeyUnwrapError: wrapped by another provider or key, for another context, or altered.
        """

    def _check(self, wrapped: WrappedKey) -> None:
        if wrapped.provider != self.name:
            raise KeyUnwrapError(
                f"A private key was wrapped by {wrapped.provider}, not by {self.name}.",
                hint="Set the key provider to the one that the epoch's record names.",
            )


class LocalKeyProvider(KeyProvider):
    """A key file: an age identity, mode 0600, optionally itself sealed with a passphrase (`age -p` makes such).

    What it wraps is an age file, so `age -d -i local.key` unwraps it without Strongroom.

    Args:
        path: the key file.
        passphrase: what the key file was sealed with; None when it was not.
    """

    name = "local"

    def __init__(self, path: Path, passphrase: str | None = None) -> None:
        self.path = path
        self._passphrase = passphrase
        self._loaded: Identity | None = None

    @classmethod
    def generate(
        cls, path: Path, passphrase: str | None = None, *, post_quantum: bool = False
    ) -> LocalKeyProvider:
        """Make a new key file.

        Raises:
            KeyFileError: there is already one, which is never overwritten, or the directory is not writable.
        """
        identity: Identity = XWingIdentity.generate() if post_quantum else X25519Identity.generate()
        content = f"# public key: {identity.recipient}\n{identity}\n".encode()
        if passphrase is not None:
            content = b"".join(
                bytes(p) for p in seal([content], [PassphraseRecipient(passphrase)], context=None)
            )
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise KeyFileError(
                f"The key file {path} cannot be made: {error.strerror}.",
                hint="An existing key is never overwritten: what it sealed would be lost.",
            ) from error
        return cls(path, passphrase)

    @property
    def post_quantum(self) -> bool:
        return isinstance(self._identity(), XWingIdentity)

    def wrap(self, secret: bytes, context: Mapping[str, str]) -> WrappedKey:
        recipient = self._identity().recipient
        data = b"".join(bytes(piece) for piece in seal([secret], [recipient], context=context))
        return WrappedKey(self.name, str(recipient), dict(context), data)

    def unwrap(self, wrapped: WrappedKey, context: Mapping[str, str]) -> bytes:
        self._check(wrapped)
        try:
            pieces = unseal(io.BytesIO(wrapped.data), [self._identity()], context=context)
            return b"".join(bytes(piece) for piece in pieces)
        except IntegrityError as error:
            raise KeyUnwrapError(
                f"The key file {self.path} does not open a wrapped private key: {error.message}",
                hint=f"It was wrapped for {wrapped.key[:80]}. With the key gone, use the escrow identity.",
            ) from error

    def _identity(self) -> Identity:
        if self._loaded is None:
            self._loaded = self._load()
        return self._loaded

    def _load(self) -> Identity:
        content = self._read()
        if content.startswith(MAGIC):
            content = self._open(content)
        try:
            return parse_identities(content.decode())[0]
        except (UnicodeDecodeError, KeyTextError) as error:
            raise KeyFileError(
                f"The key file {self.path} holds no age identity.",
                hint="It must hold a line AGE-SECRET-KEY-…",
            ) from error

    def _read(self) -> bytes:
        try:
            with self.path.open("rb") as file:
                mode = os.fstat(file.fileno()).st_mode
                content = file.read(_MAX_KEY_FILE_BYTES)
        except OSError as error:
            raise KeyFileError(
                f"The key file {self.path} cannot be read: {error.strerror}.",
                hint="`strongroom keys init` makes one. If it is lost, recover with the escrow identity.",
            ) from error
        if mode & 0o077:
            raise KeyFileError(
                f"The key file {self.path} can be read by others (mode {mode & 0o777:o}).",
                hint=f"chmod 600 {self.path}",
            )
        return content

    def _open(self, content: bytes) -> bytes:
        if self._passphrase is None:
            raise KeyFileError(f"The key file {self.path} is sealed with a passphrase, and none was given.")
        try:
            pieces = unseal(io.BytesIO(content), [PassphraseIdentity(self._passphrase)], context=UNCHECKED)
            return b"".join(bytes(piece) for piece in pieces)
        except WrongKeyError as error:
            raise KeyFileError(f"The passphrase does not open the key file {self.path}.") from error
        except IntegrityError as error:
            raise KeyFileError(f"The key file {self.path} is damaged: {error.message}") from error
