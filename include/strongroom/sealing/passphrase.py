"""Passphrases (c2sp.org/age, "The scrypt recipient type"): for key files, never beside another key.

-> scrypt <base64 of a 16-byte salt> <log2 of the work factor, decimal>
<ChaCha20-Poly1305 of the file key under scrypt(passphrase, N = 2**work factor, r = 8, p = 1)>
"""

from __future__ import annotations

import re
import secrets

from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from strongroom.sealing.errors import HeaderError, KeyTextError
from strongroom.sealing.header import Stanza, decode_base64, encode_base64
from strongroom.sealing.recipients import Identity, Recipient, check_stanza, open_file_key, seal_file_key

DEFAULT_WORK_FACTOR = 16
"""log2 of N: 64 MiB of memory and about a fifth of a second."""

MAX_WORK_FACTOR = 22
"""What a file may ask for at most (4 GiB), as in the age command."""

_TYPE = "scrypt"
_LABEL = b"age-encryption.org/v1/scrypt"
_SALT_BYTES = 16
_NUMBER = re.compile(r"[1-9][0-9]{0,2}")


class PassphraseRecipient(Recipient):
    """Whoever knows a passphrase."""

    family = "passphrase"

    def __init__(self, passphrase: str, *, work_factor: int = DEFAULT_WORK_FACTOR) -> None:
        if not passphrase:
            raise KeyTextError("A passphrase is empty.")
        self._passphrase = passphrase
        self._work_factor = work_factor

    def wrap(self, file_key: bytes) -> Stanza:
        salt = secrets.token_bytes(_SALT_BYTES)
        key = _stretch(self._passphrase, salt, self._work_factor)
        arguments = (encode_base64(salt), str(self._work_factor))
        return Stanza(_TYPE, arguments, seal_file_key(key, file_key))

    def __str__(self) -> str:
        return "passphrase"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PassphraseRecipient) and other._passphrase == self._passphrase

    __hash__ = Recipient.__hash__


class PassphraseIdentity(Identity):
    """The passphrase itself."""

    stanza_type = _TYPE

    def __init__(self, passphrase: str, *, max_work_factor: int = MAX_WORK_FACTOR) -> None:
        self._passphrase = passphrase
        self._max_work_factor = max_work_factor

    @property
    def recipient(self) -> PassphraseRecipient:
        return PassphraseRecipient(self._passphrase)

    def unwrap(self, stanza: Stanza) -> bytes | None:
        check_stanza(stanza, 2)
        salt = decode_base64(stanza.arguments[0], "A scrypt salt")
        if len(salt) != _SALT_BYTES:
            raise HeaderError("A scrypt salt is not 16 bytes long.")
        if not _NUMBER.fullmatch(stanza.arguments[1]):
            raise HeaderError("A scrypt work factor is not a decimal number.")
        work_factor = int(stanza.arguments[1])
        if work_factor > self._max_work_factor:
            raise HeaderError(f"A scrypt work factor of {work_factor} is above {self._max_work_factor}.")
        return open_file_key(_stretch(self._passphrase, salt, work_factor), stanza.body)


def _stretch(passphrase: str, salt: bytes, work_factor: int) -> bytes:
    return Scrypt(salt=_LABEL + salt, length=32, n=1 << work_factor, r=8, p=1).derive(passphrase.encode())
