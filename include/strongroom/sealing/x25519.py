"""X25519 keys (c2sp.org/age, "The X25519 recipient type").

    -> X25519 <base64 of the ephemeral share>
    <ChaCha20-Poly1305 of the file key under HKDF-SHA256(shared secret, salt = share || recipient)>

Text forms: `age1…` and `AGE-SECRET-KEY-1…`.
"""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from strongroom.sealing import bech32
from strongroom.sealing.errors import HeaderError, KeyTextError
from strongroom.sealing.header import Stanza, decode_base64, derive, encode_base64
from strongroom.sealing.recipients import Identity, Recipient, check_stanza, open_file_key, seal_file_key

RECIPIENT_PREFIX = "age"
IDENTITY_PREFIX = "age-secret-key-"
_TYPE = "X25519"
_INFO = b"age-encryption.org/v1/X25519"


class X25519Recipient(Recipient):
    """A public X25519 key."""

    family = "classic"

    def __init__(self, public: bytes) -> None:
        if len(public) != 32:
            raise KeyTextError("An X25519 recipient is 32 bytes long.")
        self._public = public

    def wrap(self, file_key: bytes) -> Stanza:
        ephemeral = X25519PrivateKey.generate()
        share = ephemeral.public_key().public_bytes_raw()
        try:
            secret = ephemeral.exchange(X25519PublicKey.from_public_bytes(self._public))
        except ValueError as error:
            raise KeyTextError(
                "An X25519 recipient is no usable public key (a point of low order)."
            ) from error
        key = derive(secret, share + self._public, _INFO)
        return Stanza(_TYPE, (encode_base64(share),), seal_file_key(key, file_key))

    def __str__(self) -> str:
        return bech32.encode(RECIPIENT_PREFIX, self._public)

    def __repr__(self) -> str:
        return f"X25519Recipient({self})"


class X25519Identity(Identity):
    """A private X25519 key."""

    stanza_type = _TYPE

    def __init__(self, secret: bytes) -> None:
        if len(secret) != 32:
            raise KeyTextError("An X25519 identity is 32 bytes long.")
        self._key = X25519PrivateKey.from_private_bytes(secret)
        self._public = self._key.public_key().public_bytes_raw()

    @classmethod
    def generate(cls) -> X25519Identity:
        """A new key."""
        return cls(X25519PrivateKey.generate().private_bytes_raw())

    @property
    def recipient(self) -> X25519Recipient:
        return X25519Recipient(self._public)

    def unwrap(self, stanza: Stanza) -> bytes | None:
        check_stanza(stanza, 1)
        share = decode_base64(stanza.arguments[0], "An X25519 share")
        if len(share) != 32:
            raise HeaderError("An X25519 share is not 32 bytes long.")
        try:
            secret = self._key.exchange(X25519PublicKey.from_public_bytes(share))
        except ValueError as error:
            raise HeaderError("An X25519 share is a point of low order.") from error
        return open_file_key(derive(secret, share + self._public, _INFO), stanza.body)

    def __str__(self) -> str:
        """The text form: a secret."""
        return bech32.encode(IDENTITY_PREFIX, self._key.private_bytes_raw()).upper()
