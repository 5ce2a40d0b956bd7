"""Ed25519 keys in the C2SP signed-note encoding, and JSON documents signed with them.

A *verifier key* (public) and a *signer key* (private) are one line of text each:

    vkey    <name>+<hex key id>+<base64 of 0x01 || public key>
    skey    PRIVATE+KEY+<name>+<hex key id>+<base64 of 0x01 || private seed>

with key id = first four bytes of SHA-256(name || "\\n" || 0x01 || public key)  (c2sp.org/signed-note).

A signed JSON document carries its signature beside its other members:

    {..., "signature": {"algorithm": "ed25519", "key": "<vkey>", "value": "<base64>"}}

The signed bytes are "strongroom/signed-json/v1\\n" followed by the document in RFC 8785 form without
`signature`, so such a signature never counts for a checkpoint or anything else signed with the key.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from strongroom.canonical import JsonObject, canonical_bytes
from strongroom.errors import ConfigurationError, IntegrityError

_ED25519 = b"\x01"
_JSON_DOMAIN = b"strongroom/signed-json/v1\n"


class SignatureError(IntegrityError):
    """A document is unsigned, altered, or signed by a key that is not trusted here."""


@dataclass(frozen=True)
class VerifierKey:
    """The public half: whoever holds it can check a signature."""

    name: str
    public: bytes

    @property
    def key_id(self) -> bytes:
        """Four bytes that tell keys of the same name apart."""
        return hashlib.sha256(self.name.encode() + b"\n" + _ED25519 + self.public).digest()[:4]

    @classmethod
    def parse(cls, text: str) -> VerifierKey:
        """Read a verifier key.

        Raises:
            ConfigurationError: the text is no Ed25519 verifier key, or its key id does not match.
        """
        name, _, rest = text.strip().partition("+")
        key_id, _, encoded = rest.partition("+")
        key = cls(name, _decode_key(encoded, "verifier key"))
        _check_name_and_id(key, key_id, "verifier key")
        return key

    def __str__(self) -> str:
        return f"{self.name}+{self.key_id.hex()}+{base64.b64encode(_ED25519 + self.public).decode()}"

    def verify(self, signature: bytes, message: bytes, what: str) -> None:
        """Check a signature.

        Raises:
            SignatureError: it is not this key's signature of the message.
        """
        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signature, message)
        except (InvalidSignature, ValueError) as error:
            raise SignatureError(
                f"The signature of {what} does not hold: it was altered or signed by another key.",
                hint=f"Expected a signature of the key {self.name}+{self.key_id.hex()}.",
            ) from error


class SignerKey:
    """The private half. It signs manifests, proofs and checkpoints; it cannot decrypt anything."""

    def __init__(self, name: str, seed: bytes) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        self.verifier = VerifierKey(name, self._key.public_key().public_bytes_raw())

    @classmethod
    def generate(cls, name: str) -> SignerKey:
        """A new key under a name, which is a DNS-like label without `+` and white space."""
        return cls(_checked_name(name), Ed25519PrivateKey.generate().private_bytes_raw())

    @classmethod
    def parse(cls, text: str) -> SignerKey:
        """Read a signer key.

        Raises:
            ConfigurationError: the text is no Ed25519 signer key, or its key id does not match.
        """
        parts = text.strip().split("+", 4)
        if len(parts) != 5 or parts[:2] != ["PRIVATE", "KEY"]:
            raise ConfigurationError("A signer key must start with PRIVATE+KEY+")
        key = cls(parts[2], _decode_key(parts[4], "signer key"))
        _check_name_and_id(key.verifier, parts[3], "signer key")
        return key

    @classmethod
    def read(cls, path: Path) -> SignerKey:
        """Read a signer key from a file.

        Raises:
            ConfigurationError: the file is not there, open to others, or no signer key.
        """
        try:
            mode = path.stat().st_mode
            text = path.read_text()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigurationError(
                f"The signing key {path} cannot be read: {error}",
                hint="`strongroom keys init` makes one; `signing_key` in the settings names it.",
            ) from error
        if mode & 0o077:
            raise ConfigurationError(
                f"The signing key {path} can be read by others (mode {mode & 0o777:o}).",
                hint=f"chmod 600 {path}",
            )
        return cls.parse(text)

    def encode(self) -> str:
        """The key as one line of text. Keep it in a file with mode 0600."""
        blob = base64.b64encode(_ED25519 + self._key.private_bytes_raw()).decode()
        return f"PRIVATE+KEY+{self.verifier.name}+{self.verifier.key_id.hex()}+{blob}"

    def __repr__(self) -> str:
        return f"SignerKey({self.verifier.name!r})"

    def sign(self, message: bytes) -> bytes:
        """The 64-byte Ed25519 signature of the message."""
        return self._key.sign(message)

    def sign_json(self, document: Mapping[str, Any]) -> JsonObject:
        """The document with its signature beside its members."""
        body = {name: value for name, value in document.items() if name != "signature"}
        value = base64.b64encode(self.sign(_JSON_DOMAIN + canonical_bytes(body))).decode()
        return {**body, "signature": {"algorithm": "ed25519", "key": str(self.verifier), "value": value}}


def verify_json(document: Mapping[str, Any], trusted: VerifierKey, what: str) -> JsonObject:
    """The document without its signature, once that signature has been checked.

    Args:
        document: a document of `SignerKey.sign_json`.
        trusted: the key that must have signed it; the key named inside is not believed.
        what: the document's name, for the error.

    Raises:
        SignatureError: unsigned, altered, or signed by another key.
    """
    body = {name: value for name, value in document.items() if name != "signature"}
    signature = document.get("signature")
    if not isinstance(signature, dict) or signature.get("algorithm") != "ed25519":
        raise SignatureError(f"{what} carries no Ed25519 signature.")
    if signature.get("key") != str(trusted):
        raise SignatureError(
            f"{what} is signed by another key than the one trusted here.",
            hint=f"It names {str(signature.get('key'))[:120]}; trusted is {trusted}.",
        )
    try:
        value = base64.b64decode(str(signature.get("value")), validate=True)
    except binascii.Error as error:
        raise SignatureError(f"The signature of {what} is not base64.") from error
    trusted.verify(value, _JSON_DOMAIN + canonical_bytes(body), what)
    return body


def _checked_name(name: str) -> str:
    if not name or "+" in name or any(character.isspace() for character in name):
        raise ConfigurationError(f"A key's name holds no '+' and no white space; got {name!r}")
    return name


def _decode_key(encoded: str, what: str) -> bytes:
    try:
        blob = base64.b64decode(encoded, validate=True)
    except binascii.Error as error:
        raise ConfigurationError(f"A {what} is not base64") from error
    if blob[:1] != _ED25519 or len(blob) != 33:
        raise ConfigurationError(f"A {what} must be Ed25519 (type 01) with 32 bytes of key")
    return blob[1:]


def _check_name_and_id(key: VerifierKey, key_id: str, what: str) -> None:
    _checked_name(key.name)
    if key.key_id.hex() != key_id:
        raise ConfigurationError(f"The {what} {key.name} was altered: its key id does not match")
