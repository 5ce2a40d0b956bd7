"""The signed head of a log (c2sp.org/tlog-checkpoint v1.0.0 in a c2sp.org/signed-note v1.0.0).

    <origin> LF <size> LF <base64 of the root> LF        the text, which is signed
    LF
    — <key name> <base64 of key id || signature> LF       one or more; witnesses add theirs

The origin is the name of the log's key.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass

from strongroom.audit.errors import CheckpointError
from strongroom.audit.merkle import HASH_BYTES
from strongroom.signing import SignatureError, SignerKey, VerifierKey

_DASH = "— "
_MAX_BYTES = 64 * 1024


@dataclass(frozen=True)
class Checkpoint:
    """How many entries a log has, and the root over them."""

    origin: str
    size: int
    root: bytes

    @property
    def text(self) -> str:
        """The text that is signed."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"

    def sign(self, signer: SignerKey) -> str:
        """The checkpoint as a signed note."""
        blob = signer.verifier.key_id + signer.sign(self.text.encode())
        return f"{self.text}\n{_DASH}{signer.verifier.name} {base64.b64encode(blob).decode()}\n"


def open_checkpoint(note: str | bytes, verifier: VerifierKey) -> Checkpoint:
    """The checkpoint in a signed note, once the log's signature has been checked.

    Raises:
        CheckpointError: malformed, of another log, or not signed by the trusted key.
    """
    text, signatures = _split_note(note)
    checkpoint = _parse_text(text)
    if checkpoint.origin != verifier.name:
        raise CheckpointError(
            f"The checkpoint is of the log {checkpoint.origin[:120]!r}, not of {verifier.name!r}.",
            hint="Is this the right bucket, and the right verifier key?",
        )
    for name, blob in signatures:
        if name == verifier.name and blob[:4] == verifier.key_id:
            _check_signature(verifier, blob[4:], text)
            return checkpoint
    raise CheckpointError(
        "The checkpoint carries no signature of the trusted key.", hint=f"Trusted is {verifier}."
    )


def _check_signature(verifier: VerifierKey, signature: bytes, text: str) -> None:
    try:
        verifier.verify(signature, text.encode(), "the checkpoint")
    except SignatureError as error:
        raise CheckpointError(error.message, hint=error.hint) from error


def _split_note(note: str | bytes) -> tuple[str, list[tuple[str, bytes]]]:
    try:
        content = note.decode() if isinstance(note, bytes) else note
        text, separator, tail = content.rpartition("\n\n")
        if not separator or not tail.endswith("\n") or len(content) > _MAX_BYTES:
            raise ValueError("no signature block")
        return text + "\n", [_parse_signature(line) for line in tail[:-1].split("\n")]
    except (ValueError, binascii.Error) as error:
        raise CheckpointError(f"The checkpoint is no signed note: {error}") from error


def _parse_signature(line: str) -> tuple[str, bytes]:
    name, _, encoded = line.removeprefix(_DASH).partition(" ")
    blob = base64.b64decode(encoded, validate=True)
    if not line.startswith(_DASH) or not name or len(blob) < 5:
        raise ValueError("a signature line is malformed")
    return name, blob


def _parse_text(text: str) -> Checkpoint:
    lines = text.split("\n")
    try:
        origin, size, root = lines[0], int(lines[1]), base64.b64decode(lines[2], validate=True)
    except (IndexError, ValueError) as error:
        raise CheckpointError("The checkpoint's text is malformed.") from error
    if str(size) != lines[1] or size < 0 or len(root) != HASH_BYTES or not origin:
        raise CheckpointError("The checkpoint's text is malformed.")
    return Checkpoint(origin, size, root)
