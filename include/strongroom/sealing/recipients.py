"""Recipients, who can open a file, and identities, their private halves: what every kind of key offers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from strongroom.sealing.errors import HeaderError
from strongroom.sealing.header import FILE_KEY_BYTES, Stanza

WRAPPED_KEY_BYTES = FILE_KEY_BYTES + 16
_ZERO_NONCE = bytes(12)


class Recipient(ABC):
    """A public key (or a passphrase) that a file can be sealed for."""

    family: ClassVar[str]
    """Kinds of one family may stand side by side in a header; a post-quantum file has no other kind."""

    @abstractmethod
    def wrap(self, file_key: bytes) -> Stanza:
        """The stanza from which this recipient, and nobody else, gets the file key."""

    @abstractmethod
    def __str__(self) -> str:
        """The text form, which holds no secret."""

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and str(other) == str(self)

    def __hash__(self) -> int:
        return hash(str(self))


class Identity(ABC):
    """The private half of a recipient."""

    stanza_type: ClassVar[str]

    @property
    @abstractmethod
    def recipient(self) -> Recipient:
        """The public half."""

    @abstractmethod
    def unwrap(self, stanza: Stanza) -> bytes | None:
        """The file key in a stanza of this identity's type, or None when it was made for another key.

        Raises:
            HeaderError: the stanza does not keep to the format.
        """

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.recipient})"


def seal_file_key(key: bytes, file_key: bytes) -> bytes:
    """The file key, encrypted under a key that is used once."""
    return ChaCha20Poly1305(key).encrypt(_ZERO_NONCE, file_key, None)


def open_file_key(key: bytes, body: bytes) -> bytes | None:
    """The file key in a stanza's body, or None when the key is another one.

    The length is checked before, so that no ciphertext can be made that opens under two keys.
    """
    try:
        return ChaCha20Poly1305(key).decrypt(_ZERO_NONCE, body, None)
    except InvalidTag:
        return None


def check_stanza(stanza: Stanza, arguments: int) -> None:
    """Check a stanza's shape.

    Raises:
        HeaderError: another number of arguments, or a body of another length than a wrapped file key.
    """
    if len(stanza.arguments) != arguments:
        raise HeaderError(f"A {stanza.type} stanza has {len(stanza.arguments)} arguments, not {arguments}.")
    if len(stanza.body) != WRAPPED_KEY_BYTES:
        raise HeaderError(f"The body of a {stanza.type} stanza is not {WRAPPED_KEY_BYTES} bytes long.")
