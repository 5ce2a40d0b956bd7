"""Reading back what was just sealed, on a host that holds public keys only.

A file may have several recipients. One of them here is a *witness*: a key pair made for one object, whose private half
lives in one call of one process and is nowhere else. It opens that object and no other, once.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import BinaryIO

from strongroom.sealing import (
    Identity,
    ObjectRange,
    Recipient,
    SealedReader,
    X25519Identity,
    XWingIdentity,
    XWingRecipient,
)
from strongroom.storage import ObjectStore
from strongroom.vault.interface import StoredObject

_WINDOW_CHUNKS = 64
_READ_AHEAD_BYTES = 1 << 20


def witness_for(recipients: Sequence[Recipient]) -> Identity:
    """A new key pair that may stand beside the recipients: as strong as they are, or the file would be weaker."""
    post_quantum = any(recipient.family == XWingRecipient.family for recipient in recipients)
    return XWingIdentity.generate() if post_quantum else X25519Identity.generate()


@contextmanager
def open_as_witness(store: ObjectStore, stored: StoredObject, witness: Identity) -> Iterator[BinaryIO]:
    """The plaintext of an object as the store has it now, as a seekable file.

    Raises:
        IntegrityError: what the store has is not what was sealed; possibly only while reading.
    """
    source = ObjectRange(store, stored.key, stored.size_bytes, stored.version_id)
    reader = SealedReader(source, [witness], context=stored.context, window_chunks=_WINDOW_CHUNKS)
    with io.BufferedReader(reader, _READ_AHEAD_BYTES) as plaintext:  # reads as much as it is asked for
        yield plaintext
