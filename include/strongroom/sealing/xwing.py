"""X-Wing keys: ML-KEM-768 and X25519 together, for files that must stay closed when quantum computers come.

    -> mlkem768x25519 <base64 of enc: ML-KEM ciphertext 1088 || X25519 share 32>
    <HPKE (RFC 9180) of the file key: MLKEM768-X25519, HKDF-SHA256, ChaCha20-Poly1305>

Text forms: `age1pq1…` (1,216 bytes: ML-KEM key || X25519 key) and `AGE-SECRET-KEY-PQ-1…` (a 32-byte seed; its
SHAKE-256 gives the ML-KEM seed of 64 bytes, then the X25519 key of 32).
Sources: c2sp.org/age; draft-connolly-cfrg-xwing-kem.
"""

from __future__ import annotations

import hashlib
import secrets

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import (
    AEAD,
    KDF,
    KEM,
    MLKEM768X25519PrivateKey,
    MLKEM768X25519PublicKey,
    Suite,
)

from strongroom.sealing import bech32
from strongroom.sealing.errors import HeaderError, KeyTextError
from strongroom.sealing.header import Stanza, decode_base64, encode_base64
from strongroom.sealing.recipients import Identity, Recipient, check_stanza

RECIPIENT_PREFIX = "age1pq"
IDENTITY_PREFIX = "age-secret-key-pq-"
_TYPE = "mlkem768x25519"
_INFO = b"age-encryption.org/mlkem768x25519"
_MLKEM_PUBLIC_BYTES = 1184
_MLKEM_CIPHERTEXT_BYTES = 1088
_X25519_BYTES = 32
_ENC_BYTES = _MLKEM_CIPHERTEXT_BYTES + _X25519_BYTES


def _suite() -> Suite:
    return Suite(KEM.MLKEM768_X25519, KDF.HKDF_SHA256, AEAD.CHACHA20_POLY1305)


class XWingRecipient(Recipient):
    """A public X-Wing key."""

    family = "post-quantum"

    def __init__(self, public: bytes) -> None:
        if len(public) != _MLKEM_PUBLIC_BYTES + _X25519_BYTES:
            raise KeyTextError("An X-Wing recipient is 1,216 bytes long.")
        self._public = public
        try:
            mlkem = MLKEM768PublicKey.from_public_bytes(public[:_MLKEM_PUBLIC_BYTES])
            x25519 = X25519PublicKey.from_public_bytes(public[_MLKEM_PUBLIC_BYTES:])
        except ValueError as error:
            raise KeyTextError("An X-Wing recipient is no usable public key.") from error
        self._key = MLKEM768X25519PublicKey(mlkem, x25519)

    def wrap(self, file_key: bytes) -> Stanza:
        message = _suite().encrypt(file_key, self._key, info=_INFO)
        return Stanza(_TYPE, (encode_base64(message[:_ENC_BYTES]),), message[_ENC_BYTES:])

    def __str__(self) -> str:
        return bech32.encode(RECIPIENT_PREFIX, self._public)

    def __repr__(self) -> str:
        return f"XWingRecipient({str(self)[:24]}…)"


class XWingIdentity(Identity):
    """A private X-Wing key."""

    stanza_type = _TYPE

    def __init__(self, seed: bytes) -> None:
        if len(seed) != 32:
            raise KeyTextError("An X-Wing identity is 32 bytes long.")
        self._seed = seed
        expanded = hashlib.shake_256(seed).digest(96)
        self._mlkem = MLKEM768PrivateKey.from_seed_bytes(expanded[:64])
        self._x25519 = X25519PrivateKey.from_private_bytes(expanded[64:])
        self._key = MLKEM768X25519PrivateKey(self._mlkem, self._x25519)

    @classmethod
    def generate(cls) -> XWingIdentity:
        """A new key."""
        return cls(secrets.token_bytes(32))

    @property
    def recipient(self) -> XWingRecipient:
        mlkem, x25519 = self._mlkem.public_key(), self._x25519.public_key()
        return XWingRecipient(mlkem.public_bytes_raw() + x25519.public_bytes_raw())

    def unwrap(self, stanza: Stanza) -> bytes | None:
        check_stanza(stanza, 1)
        enc = decode_base64(stanza.arguments[0], "An mlkem768x25519 share")
        if len(enc) != _ENC_BYTES:
            raise HeaderError(f"An mlkem768x25519 share is not {_ENC_BYTES} bytes long.")
        self._refuse_low_order(enc[_MLKEM_CIPHERTEXT_BYTES:])
        try:
            return _suite().decrypt(enc + stanza.body, self._key, info=_INFO)
        except InvalidTag:
            return None

    def _refuse_low_order(self, share: bytes) -> None:
        # HPKE reports such a share like a wrong key; the format wants it told apart.
        try:
            self._x25519.exchange(X25519PublicKey.from_public_bytes(share))
        except ValueError as error:
            raise HeaderError(
                "The X25519 part of an mlkem768x25519 share is a point of low order."
            ) from error

    def __repr__(self) -> str:
        return f"XWingIdentity({self.recipient!r})"

    def __str__(self) -> str:
        """The text form: a secret."""
        return bech32.encode(IDENTITY_PREFIX, self._seed).upper()
