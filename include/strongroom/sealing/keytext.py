"""Keys as text: `age1…`, `age1pq1…`, `AGE-SECRET-KEY-1…`, `AGE-SECRET-KEY-PQ-1…`, and files of them."""

from __future__ import annotations

from strongroom.sealing import bech32, x25519, xwing
from strongroom.sealing.errors import KeyTextError
from strongroom.sealing.recipients import Identity, Recipient


def parse_recipient(text: str) -> Recipient:
    """The recipient that a text form names.

    Raises:
        KeyTextError: misspelt, private, or of an unknown kind.
    """
    prefix, data = bech32.decode(text.strip())
    if prefix == x25519.RECIPIENT_PREFIX:
        return x25519.X25519Recipient(data)
    if prefix == xwing.RECIPIENT_PREFIX:
        return xwing.XWingRecipient(data)
    raise KeyTextError(
        f"A recipient of the kind {prefix!r} is not known here.",
        hint="Recipients start with age1 or age1pq1; AGE-SECRET-KEY- is a private key and stays where it is.",
    )


def parse_identity(text: str) -> Identity:
    """The identity that a text form holds.

    Raises:
        KeyTextError: misspelt, public, or of an unknown kind.
    """
    prefix, data = bech32.decode(text.strip())
    if prefix == x25519.IDENTITY_PREFIX:
        return x25519.X25519Identity(data)
    if prefix == xwing.IDENTITY_PREFIX:
        return xwing.XWingIdentity(data)
    raise KeyTextError(
        f"An identity of the kind {prefix!r} is not known here.",
        hint="Identities start with AGE-SECRET-KEY-1 or AGE-SECRET-KEY-PQ-1.",
    )


def parse_identities(text: str) -> list[Identity]:
    """The identities in an identity file: one a line; empty lines and `#` comments are skipped.

    Raises:
        KeyTextError: a line is no identity, or there is none.
    """
    lines = [line.strip() for line in text.splitlines()]
    identities = [parse_identity(line) for line in lines if line and not line.startswith("#")]
    if not identities:
        raise KeyTextError("An identity file holds no identity.")
    return identities
