"""Sealing and opening whole files as streams, in constant memory."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from strongroom.errors import InputError, IntegrityError
from strongroom.sealing.chunks import (
    BATCH_CHUNKS,
    CHUNK_BYTES,
    NONCE_BYTES,
    SEALED_CHUNK_BYTES,
    TAG_BYTES,
    Buffer,
    PayloadOpener,
    PayloadSealer,
    trailing_data,
    truncated,
)
from strongroom.sealing.context import (
    STANZA_TYPE,
    Context,
    UncheckedContext,
    check_context,
    context_stanza,
)
from strongroom.sealing.errors import HeaderError, WrongKeyError
from strongroom.sealing.header import (
    FILE_KEY_BYTES,
    MAX_HEADER_BYTES,
    Header,
    IncompleteHeader,
    derive,
    make_header,
    parse_header,
    truncated_header,
)
from strongroom.sealing.recipients import Identity, Recipient
from strongroom.sealing.sharing import TwoCores

_HEADER_READ_BYTES = 16 * 1024


class Readable(Protocol):
    """The part of a binary file that opening needs; `readinto` is used where there is one."""

    def read(self, size: int = -1, /) -> bytes:
        """At most `size` bytes; none at the end."""


def seal(
    source: Iterable[Buffer], recipients: Sequence[Recipient], *, context: Context | None
) -> Iterator[Buffer]:
    """The age file of the plaintext in `source`, piece by piece.

    A piece is memory that the next one uses again: consume or copy it before asking for more. Likewise
    a piece of `source` is not touched any more once the next one is asked for.

    Args:
        source: the plaintext, in pieces of any size.
        recipients: who can open it; at least one.
        context: what the file is bound to; None binds it to nothing.

    Raises:
        InputError: no recipient, or recipients that must not stand together.
    """
    prefix, payload_key = start_sealing(recipients, context)
    with TwoCores() as cores:
        sealer = PayloadSealer(payload_key, long_run=cores.seal_run)
        yield prefix
        for piece in source:
            yield from sealer.update(piece)
        yield from sealer.finish()


def start_sealing(recipients: Sequence[Recipient], context: Context | None) -> tuple[bytes, bytes]:
    """The first bytes of a new file, up to its chunks, and the key of those.

    Raises:
        InputError: no recipient, or recipients that must not stand together.
    """
    file_key, nonce = secrets.token_bytes(FILE_KEY_BYTES), secrets.token_bytes(NONCE_BYTES)
    stanzas = [recipient.wrap(file_key) for recipient in _checked(recipients, context)]
    if context is not None:
        stanzas.append(context_stanza(context))
    prefix = make_header(stanzas, file_key).encode() + nonce
    return prefix, derive(file_key, nonce, b"payload")


def unseal(
    source: Readable, identities: Sequence[Identity], *, context: Context | UncheckedContext
) -> Iterator[memoryview]:
    """The plaintext of an age file, piece by piece.

    Each piece is authentic and in order, but only the end of the iteration says that nothing is missing: so
    whoever acts on pieces before must be able to undo it. A piece is memory that the next one uses again.

    Args:
        source: the file, from its first byte.
        identities: one of them must be a recipient.
        context: what the file must be bound to, or `UNCHECKED`.

    Raises:
        NotAgeFileError, HeaderError, HeaderMacError, WrongKeyError, ContextMismatchError: before any piece.
        TruncatedError, ChunkError, TrailingDataError: also late, after the pieces that were good.
    """
    header, rest = read_header(source)
    file_key = open_header(header, identities, context)
    blocks = _Blocks(source, rest)
    nonce = blocks.take(NONCE_BYTES)
    if len(nonce) < NONCE_BYTES:
        raise truncated_header()
    yield from _open_chunks(PayloadOpener(derive(file_key, nonce, b"payload")), blocks)


def read_header(source: Readable) -> tuple[Header, bytes]:
    """The header of the file in `source`, and what was read beyond it.

    Raises:
        NotAgeFileError, HeaderError: as `parse_header`; TruncatedHeaderError when the file ends too early.
    """
    data = b""
    while True:
        block = source.read(_HEADER_READ_BYTES)
        data += block
        try:
            header, length = parse_header(data)
        except IncompleteHeader:
            if not block:
                raise truncated_header() from None
            if len(data) > MAX_HEADER_BYTES:
                raise HeaderError("The header of a sealed file is longer than 1 MiB.") from None
        else:
            return header, data[length:]


def open_header(header: Header, identities: Sequence[Identity], context: Context | UncheckedContext) -> bytes:
    """The file key, once header and context have been verified.

    Raises:
        WrongKeyError, HeaderError, HeaderMacError, ContextMismatchError
    """
    file_key = _find_file_key(header, identities)
    header.verify(file_key)
    check_context(header.stanzas, context)
    return file_key


def rewrap(header: bytes, identities: Sequence[Identity], recipients: Sequence[Recipient]) -> bytes:
    """A new header for the same payload: other recipients, the same file key and context.

    The payload's bytes stay as they are; put the new header in place of the old one. Recipients that are not
    named again lose the file, except for copies of the old header.

    Args:
        header: the old header, without anything behind it.
        identities: one of them must be an old recipient.
        recipients: all the new ones.

    Raises:
        WrongKeyError, HeaderError, HeaderMacError: the old header does not open.
        InputError: no recipient, or recipients that must not stand together.
    """
    try:
        old, length = parse_header(header)
    except IncompleteHeader:
        raise truncated_header() from None
    if length != len(header):
        raise InputError("Something follows the header that is to be rewrapped.")
    file_key = open_header(old, identities, UncheckedContext.UNCHECKED)
    kept = [stanza for stanza in old.stanzas if stanza.type == STANZA_TYPE]
    wrapped = [recipient.wrap(file_key) for recipient in _checked(recipients, {} if kept else None)]
    return make_header([*wrapped, *kept], file_key).encode()


def _checked(recipients: Sequence[Recipient], context: Context | None) -> Sequence[Recipient]:
    families = {recipient.family for recipient in recipients}
    if not recipients:
        raise InputError("There is nobody to seal for: no recipient was given.")
    if len(families) > 1:
        raise InputError(
            f"Recipients of the kinds {' and '.join(sorted(families))} must not stand in one file.",
            hint="The weaker kind would decide who can open it. Use post-quantum recipients only, or none.",
        )
    if "passphrase" in families and (len(recipients) > 1 or context is not None):
        raise InputError("A passphrase stands alone: no other recipient and no context.")
    return recipients


def _find_file_key(header: Header, identities: Sequence[Identity]) -> bytes:
    for stanza in header.stanzas:
        for identity in identities:
            if identity.stanza_type == stanza.type:
                file_key = identity.unwrap(stanza)
                if file_key is not None:
                    return file_key
    raise WrongKeyError(
        f"None of the {len(identities)} private keys at hand opens the file, "
        f"which was sealed for {sum(s.type != STANZA_TYPE for s in header.stanzas)} recipients.",
        hint="Give the identity of one of the epochs that the object names, or the escrow identity.",
    )


def _open_chunks(opener: PayloadOpener, blocks: _Blocks) -> Iterator[memoryview]:
    """Decrypt batch after batch, keeping back the last chunk until it is known to be the last."""
    out = memoryview(bytearray(BATCH_CHUNKS * CHUNK_BYTES))
    sealed = blocks.fill(0)
    while True:
        batch = _open_batch(opener, sealed, blocks.ended, out)
        if batch.plaintext_bytes:
            yield out[: batch.plaintext_bytes]
        if batch.error is not None:
            raise batch.error
        if blocks.ended:
            return
        sealed = blocks.fill(len(sealed) - batch.sealed_bytes)


@dataclass(frozen=True)
class _Batch:
    sealed_bytes: int
    plaintext_bytes: int
    error: IntegrityError | None = None


def _open_batch(opener: PayloadOpener, sealed: memoryview, ended: bool, out: memoryview) -> _Batch:
    """Decrypt what is known to be whole. What came before an error is authentic, and goes out first."""
    position = done = 0
    try:
        while len(sealed) - position > SEALED_CHUNK_BYTES:
            chunk = sealed[position : position + SEALED_CHUNK_BYTES]
            inner = opener.open_inner(chunk, out[done : done + CHUNK_BYTES])
            position, done = position + SEALED_CHUNK_BYTES, done + CHUNK_BYTES
            if not inner:
                return _Batch(position, done, trailing_data(opener.index))
        if ended:
            rest = sealed[position:]
            size = max(0, len(rest) - TAG_BYTES)
            whole = opener.open_last(rest, out[done : done + size])
            return _Batch(len(sealed), done + size, None if whole else truncated(opener.index))
    except IntegrityError as error:
        return _Batch(position, done, error)
    return _Batch(position, done)


class _Blocks:
    """Reads a file into one block of memory, a batch of sealed chunks at a time."""

    def __init__(self, source: Readable, start: bytes) -> None:
        self._source = source
        self._start = memoryview(start)
        self._block = memoryview(bytearray(BATCH_CHUNKS * SEALED_CHUNK_BYTES))
        self._used = 0
        self.ended = False

    def take(self, size: int) -> bytes:
        """The next `size` bytes, or fewer at the end."""
        taken = bytes(self._start[:size])
        self._start = self._start[size:]
        while len(taken) < size:
            more = self._source.read(size - len(taken))
            if not more:
                break
            taken += more
        return taken

    def fill(self, kept: int) -> memoryview:
        """Keep the last `kept` bytes, read until the block is full or the file ends."""
        self._block[:kept] = self._block[self._used - kept : self._used]
        self._used = kept
        while self._used < len(self._block):
            read = self._read(self._block[self._used :])
            if not read:
                self.ended = True
                break
            self._used += read
        return self._block[: self._used]

    def _read(self, into: memoryview) -> int:
        if self._start:
            size = min(len(self._start), len(into))
            into[:size] = self._start[:size]
            self._start = self._start[size:]
            return size
        return read_into(self._source, into)


def read_into(source: Readable, into: memoryview) -> int:
    """Read once into given memory; the number of bytes, 0 at the end."""
    readinto = getattr(source, "readinto", None)
    if readinto is not None:
        return readinto(into) or 0
    data = source.read(len(into))
    into[: len(data)] = data
    return len(data)
