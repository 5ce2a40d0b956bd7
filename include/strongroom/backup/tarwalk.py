"""Walking through a tar stream that is given buffer by buffer, without copying what its members hold.

    member   = header (512 bytes, ustar) + content, padded with zeros to a multiple of 512
    end      = two blocks of zeros (servers before PostgreSQL 15 leave them to their client)

PostgreSQL writes plain ustar: names of at most 100 bytes, sizes in octal or, from 8 GiB on, in base 256
(`src/port/tar.c`).
"""

from __future__ import annotations

from strongroom.backup.errors import IncompleteStreamError

BLOCK = 512
TAR_END = bytes(2 * BLOCK)
_ZEROS = bytes(BLOCK)


class TarWalk:
    """Follows a tar stream. A subclass looks at the members by overriding `begin` and `content`."""

    def __init__(self) -> None:
        self.member_count = 0
        self.ended = False
        """Whether the blocks of zeros have been seen."""
        self.position = 0
        """How many bytes of members have passed: neither the end nor a header that is still incomplete counts."""
        self._header = bytearray()
        self._body_left = 0
        self._padding_left = 0

    @property
    def between_members(self) -> bool:
        """Whether the last member is complete, and no next one has begun."""
        return not (self._body_left or self._padding_left or self._header)

    def go_on(self) -> None:
        """Expect further members, although the end was seen: the reader puts them in its place."""
        self.ended = False

    def begin(self, name: str, size: int) -> None:
        """A member begins."""

    def content(self, piece: memoryview) -> None:
        """A piece of the present member's content."""

    def feed(self, data: memoryview) -> None:
        """Look at the next piece of the stream. What comes after its end is ignored.

        Raises:
            IncompleteStreamError: it is not a tar stream, or is damaged.
        """
        position, size = 0, len(data)
        if self._body_left > size:  # most pieces lie within one large member
            self.content(data)
            self._body_left -= size
            self.position += size
            return
        while position < size and not self.ended:
            if self._body_left:
                step = min(self._body_left, size - position)
                self.content(data[position : position + step])
                self._body_left -= step
                self.position += step
            elif self._padding_left:
                step = min(self._padding_left, size - position)
                self._padding_left -= step
                self.position += step
            else:
                step = min(BLOCK - len(self._header), size - position)
                self._header += data[position : position + step]
                if len(self._header) == BLOCK:
                    self._begin_member(bytes(self._header))
                    self._header.clear()
            position += step

    def _begin_member(self, header: bytes) -> None:
        if header == _ZEROS:
            self.ended = True
            return
        _check_header(header)
        self._body_left = _size(header[124:136])
        self._padding_left = -self._body_left % BLOCK
        self.position += BLOCK
        self.member_count += 1
        name = header[:100].rstrip(b"\0").decode("utf-8", "surrogateescape").removeprefix("./")
        self.begin(name, self._body_left)


def _check_header(header: bytes) -> None:
    try:
        expected = int(header[148:156].rstrip(b"\0 ") or b"x", 8)
    except ValueError as error:
        raise IncompleteStreamError("The base backup's stream is not a tar file.") from error
    if sum(header) - sum(header[148:156]) + 8 * 32 != expected:
        raise IncompleteStreamError("The base backup's stream is damaged: a tar header's sum is wrong.")


def _size(field: bytes) -> int:
    if field[0] & 0x80:
        return int.from_bytes(field[1:], "big")
    try:
        return int(field.rstrip(b"\0 ") or b"0", 8)
    except ValueError as error:
        raise IncompleteStreamError("The base backup's stream is damaged: a size is no number.") from error
