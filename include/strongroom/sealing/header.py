"""The header of an age v1 file (c2sp.org/age): for whom it was sealed, and the MAC over that.

    age-encryption.org/v1\\n
    -> X25519 <share>\\n                      one stanza for each recipient: a type, arguments,
    <body, base64, 64 columns>\\n             and a body whose last line is shorter than 64 columns
    -> strongroom/context <digest>\\n         a stanza others ignore, but the MAC covers it
    \\n
    --- <base64 of HMAC-SHA256>\\n
    <payload …>

The MAC's key is HKDF-SHA256(file key, info="header"); it covers everything up to and including `---`. Base64
is canonical and without padding everywhere.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from strongroom.sealing.errors import HeaderError, HeaderMacError, NotAgeFileError, TruncatedHeaderError

MAGIC = b"age-encryption.org/v1\n"
FILE_KEY_BYTES = 16
MAX_HEADER_BYTES = 1 << 20
"""More than five hundred post-quantum recipients need; a longer header is refused unread."""

_COLUMNS = 64
_ARGUMENT = re.compile(rb"[!-~]+")


class IncompleteHeader(Exception):
    """The data ends before the header does: a signal to read more, not an error."""


@dataclass(frozen=True)
class Stanza:
    """One recipient's line and body in a header."""

    type: str
    arguments: tuple[str, ...]
    body: bytes = b""

    def encode(self) -> bytes:
        """The stanza as it stands in a file."""
        encoded = encode_base64(self.body)
        lines = [encoded[at : at + _COLUMNS] for at in range(0, len(encoded) + 1, _COLUMNS)]
        return "\n".join([" ".join(["->", self.type, *self.arguments]), *lines, ""]).encode()


@dataclass(frozen=True)
class Header:
    """A parsed header."""

    stanzas: tuple[Stanza, ...]
    mac: bytes

    def encode(self) -> bytes:
        """The header as it stands in a file."""
        return _authenticated(self.stanzas) + b" " + encode_base64(self.mac).encode() + b"\n"

    def verify(self, file_key: bytes) -> None:
        """Check the MAC.

        Raises:
            HeaderMacError: the header was altered after it was written.
        """
        if not hmac.compare_digest(_mac(self.stanzas, file_key), self.mac):
            raise HeaderMacError(
                "The header of a sealed file was altered: its MAC does not hold.",
                hint="Take the object from another version or copy.",
            )


def make_header(stanzas: Sequence[Stanza], file_key: bytes) -> Header:
    """The header with these stanzas and their MAC."""
    return Header(tuple(stanzas), _mac(stanzas, file_key))


def derive(file_key: bytes, salt: bytes, info: bytes) -> bytes:
    """HKDF-SHA256, 32 bytes: how every key of a file comes from its file key."""
    return HKDF(algorithm=SHA256(), length=32, salt=salt, info=info).derive(file_key)


def encode_base64(data: bytes) -> str:
    """Base64 without padding."""
    return base64.b64encode(data).rstrip(b"=").decode()


def decode_base64(text: str, what: str) -> bytes:
    """The bytes of canonical base64 without padding.

    Raises:
        HeaderError: padded, not canonical, or not base64.
    """
    try:
        data = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        raise HeaderError(f"{what} is not base64.") from error
    if encode_base64(data) != text:
        raise HeaderError(f"{what} is not canonical base64 without padding.")
    return data


def parse_header(data: bytes) -> tuple[Header, int]:
    """The header at the start of `data`, and its length in bytes.

    Raises:
        NotAgeFileError: the data does not start like an age file.
        HeaderError: the header does not keep to the format.
        IncompleteHeader: it may be a header, but it does not end within the data.
    """
    if data[: len(MAGIC)] != MAGIC:
        if MAGIC.startswith(data):
            raise IncompleteHeader
        raise NotAgeFileError(
            "The data is not an age v1 file.",
            hint="It was never sealed, or it is not the object it should be.",
        )
    lines = _Lines(data, len(MAGIC))
    stanzas = []
    while True:
        line = lines.take()
        if line.startswith(b"--- "):
            break
        stanzas.append(_parse_stanza(line, lines))
    _check_stanzas(stanzas)
    mac = decode_base64(_ascii(line[4:]), "The header's MAC")
    if len(mac) != 32:
        raise HeaderError("The header's MAC is not 32 bytes long.")
    return Header(tuple(stanzas), mac), lines.position


def truncated_header() -> TruncatedHeaderError:
    """The error for a file that ends inside its header."""
    return TruncatedHeaderError(
        "The sealed file ends inside its header.", hint="Take the object from another version or copy."
    )


class _Lines:
    def __init__(self, data: bytes, position: int) -> None:
        self._data = data
        self.position = position

    def take(self) -> bytes:
        end = self._data.find(b"\n", self.position)
        if end < 0:
            raise IncompleteHeader
        line = self._data[self.position : end]
        self.position = end + 1
        return line


def _parse_stanza(line: bytes, lines: _Lines) -> Stanza:
    if not line.startswith(b"-> "):
        raise HeaderError("A header's line starts neither a stanza nor the MAC.")
    words = line[3:].split(b" ")
    if not all(_ARGUMENT.fullmatch(word) for word in words):
        raise HeaderError("A stanza's type or argument is empty or holds a character that is not allowed.")
    body = []
    while True:
        text = _ascii(lines.take())
        if len(text) > _COLUMNS:
            raise HeaderError("A line of a stanza's body is longer than 64 columns.")
        body.append(text)
        if len(text) < _COLUMNS:
            break
    kind, *arguments = (word.decode("ascii") for word in words)
    return Stanza(kind, tuple(arguments), decode_base64("".join(body), f"The body of a {kind} stanza"))


def _check_stanzas(stanzas: Sequence[Stanza]) -> None:
    if not stanzas:
        raise HeaderError("The header names no recipient.")
    if len(stanzas) > 1 and any(stanza.type == "scrypt" for stanza in stanzas):
        raise HeaderError("A header with a passphrase names other recipients too, which the format forbids.")


def _ascii(line: bytes) -> str:
    try:
        return line.decode("ascii")
    except UnicodeDecodeError as error:
        raise HeaderError("The header holds bytes that are not ASCII.") from error


def _authenticated(stanzas: Sequence[Stanza]) -> bytes:
    return MAGIC + b"".join(stanza.encode() for stanza in stanzas) + b"---"


def _mac(stanzas: Sequence[Stanza], file_key: bytes) -> bytes:
    return hmac.digest(derive(file_key, b"", b"header"), _authenticated(stanzas), "sha256")
