r"""Taking a data script apart while it streams by.

    preamble                                   settings
    COPY "public"."orders" ("id") FROM stdin;  one block per table, in the order of the contents
    1
    \.                                         a line that no row can be

What the script says is compared, byte for byte, with what the backup's contents make it say; nothing of it is run.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from strongroom.backup.logical.contents import TableEntry, preamble
from strongroom.backup.restoring.errors import BrokenArchiveError

Buffer = bytes | bytearray | memoryview

_END_OF_ROWS = b"\\.\n"
_END_AFTER_ROWS = b"\n" + _END_OF_ROWS


class DataScript:
    """The tables of a data object with their rows, in its order. Iterate it once.

    Args:
        pieces: the object's content.
        encoding: of the source database.
        tables: the tables that it must hold.
        name: the object's, for errors.
    """

    def __init__(
        self, pieces: Iterable[Buffer], encoding: str, tables: Sequence[TableEntry], name: str
    ) -> None:
        self._pieces = iter(pieces)
        self._encoding = encoding
        self._tables = tables
        self._name = name
        self._buffer = b""
        self._at = 0

    def __iter__(self) -> Iterator[tuple[TableEntry, Iterator[bytes]]]:
        """Each table with its rows as COPY takes them; rows that are not asked for are passed over.

        Raises:
            BrokenArchiveError: the script is not the one that the contents describe.
            IntegrityError: from the pieces; possibly only at their end.
        """
        self._expect(preamble(self._encoding))
        for table in self._tables:
            self._expect(table.copy_in() + ";\n")
            rows = self._rows()
            yield table, rows
            for _ in rows:
                pass
        if self._at < len(self._buffer) or self._fill():
            raise self._broken("goes on after its last table")

    def _expect(self, text: str) -> None:
        wanted = text.encode()
        while len(self._buffer) - self._at < len(wanted) and self._fill():
            pass
        if not self._buffer.startswith(wanted, self._at):
            raise self._broken("does not say what the backup's contents say")
        self._at += len(wanted)

    def _rows(self) -> Iterator[bytes]:
        while len(self._buffer) - self._at < len(_END_OF_ROWS) and self._fill():
            pass
        if self._buffer.startswith(_END_OF_ROWS, self._at):
            self._at += len(_END_OF_ROWS)
            return
        while (end := self._buffer.find(_END_AFTER_ROWS, self._at)) < 0:
            keep = max(self._at, len(self._buffer) - len(_END_OF_ROWS))
            rows, self._at = self._buffer[self._at : keep], keep
            if rows:
                yield rows
            if not self._fill():
                raise self._broken("ends inside a table's rows")
        rows = self._buffer[self._at : end + 1]
        self._at = end + len(_END_AFTER_ROWS)
        yield rows

    def _fill(self) -> bool:
        piece = next((piece for piece in self._pieces if len(piece)), None)
        if piece is None:
            return False
        self._buffer = self._buffer[self._at :] + bytes(piece)
        self._at = 0
        return True

    def _broken(self, how: str) -> BrokenArchiveError:
        return BrokenArchiveError(
            f"The rows in {self._name} cannot be read: the script {how}.",
            hint="The object and the contents are not of one backup. Restore another backup.",
        )
