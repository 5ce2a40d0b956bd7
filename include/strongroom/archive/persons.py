"""Whose rows a part holds: an index that answers for one person, and tells nothing about anybody else.

    persons.age, sealed like the rows; inside:
        "strongroom/archive-persons/v1\\n" | key: 32 random bytes | hash: 16 bytes | hash | …
    hash = first 16 bytes of HMAC-SHA256(key, canonical JSON [subject, identifier, normalised value])

The key is drawn anew for every part and lies inside the sealed file, so the host that writes it keeps no secret, no
key lies in the bucket in clear, and equal persons of two parts have nothing in common. Whoever can open the file
can ask it for a person, and cannot list the persons in it. Opening 100 of them is 100 small reads.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from collections.abc import Iterable, Iterator

from strongroom.archive.errors import ArchiveManifestError
from strongroom.policy.people import Normalisation

MAGIC = b"strongroom/archive-persons/v1\n"
KEY_BYTES = 32
HASH_BYTES = 16
_HEAD_BYTES = len(MAGIC) + KEY_BYTES
_HASHES_PER_PIECE = 4096

PersonValue = tuple[str, str, str]
"""Subject and identifier as the policy names them, and the normalised value."""


def normalised(value: str, how: Normalisation) -> str:
    """An identifier's value in the one spelling that is compared.

    `email` ignores case and surrounding white space; `phone` keeps a leading plus sign and the digits; `lower` ignores
    case.
    """
    if how == "email":
        return value.strip().casefold()
    if how == "phone":
        digits = "".join(character for character in value if character.isdecimal())
        return ("+" if value.strip().startswith("+") else "") + digits
    return value.lower() if how == "lower" else value


def person_hash(key: bytes, subject: str, identifier: str, value: str) -> bytes:
    """How a person appears in the index of that key."""
    message = json.dumps([subject, identifier, value], ensure_ascii=False, separators=(",", ":")).encode()
    return hmac.digest(key, message, hashlib.sha256)[:HASH_BYTES]


def person_index(people: Iterable[PersonValue]) -> Iterator[bytes]:
    """The content of a new index, under a key of its own, in pieces. A person may come twice."""
    key = secrets.token_bytes(KEY_BYTES)
    yield MAGIC + key
    piece = bytearray()
    for subject, identifier, value in people:
        piece += person_hash(key, subject, identifier, value)
        if len(piece) >= _HASHES_PER_PIECE * HASH_BYTES:
            yield bytes(piece)
            piece.clear()
    yield bytes(piece)


class PersonIndex:
    """An opened index.

    Args:
        content: the whole of it.
        what: its name, for errors.

    Raises:
        ArchiveManifestError: it does not keep to the format.
    """

    def __init__(self, content: bytes, what: str) -> None:
        if not content.startswith(MAGIC) or (len(content) - _HEAD_BYTES) % HASH_BYTES:
            raise ArchiveManifestError(
                f"{what} is no index of persons of the format that this version knows."
            )
        self._key = content[len(MAGIC) : _HEAD_BYTES]
        self._hashes = content

    def holds(self, subject: str, identifier: str, value: str) -> bool:
        """Whether the part has rows of that person.

        Args:
            subject: the kind of person, as the policy names it.
            identifier: the identifier's name in the policy.
            value: its normalised value.
        """
        wanted = person_hash(self._key, subject, identifier, value)
        at = self._hashes.find(wanted, _HEAD_BYTES)
        while at >= 0 and (at - _HEAD_BYTES) % HASH_BYTES:
            at = self._hashes.find(wanted, at + 1)
        return at >= 0
