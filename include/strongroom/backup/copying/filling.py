"""Filling one area of a copy: what its documents name first, then each document.

Both sides are listed. Only documents that the copy lacks are read; when the copy has lost objects below documents that
it has, all documents are read and the holes are filled. What changes is read before the source is listed and written
after everything is there, so that it never says of the copy what is true of the source alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from strongroom.backup.copying.areas import Area, SealedObject
from strongroom.backup.copying.transfer import check_same, lock, put_document, transfer
from strongroom.errors import IntegrityError, NotFoundError
from strongroom.sealing.rewraps import Rewraps, record_key
from strongroom.signing import VerifierKey
from strongroom.storage import ObjectNotFoundError, ObjectStore, Retention

_MAX_DOCUMENT_BYTES = 16 << 20


@dataclass(frozen=True)
class Problem:
    """Something that could not be copied, since it is not what was recorded."""

    key: str
    message: str


@dataclass
class Filled:
    """What became of one area."""

    complete: list[str] = field(default_factory=list)
    """The keys of the documents that the copy holds together with everything they name."""
    copied_objects: int = 0
    copied_bytes: int = 0
    problems: list[Problem] = field(default_factory=list)


class AreaFiller:
    """Brings one area of a copy up to the source's.

    Args:
        source: where the objects are.
        target: the copy.
        trusted: the key that documents must be signed with.
        progress: told the key and the size in bytes of each object that was copied.
        retention: what the policy says of locks; None where it says nothing, or the copy has none.
    """

    def __init__(
        self,
        source: ObjectStore,
        target: ObjectStore,
        trusted: VerifierKey,
        progress: Callable[[str, int], None],
        retention: Retention | None = None,
    ) -> None:
        self._source, self._target, self._trusted = source, target, trusted
        self._rewraps = Rewraps(source, trusted)
        self._progress, self._retention = progress, retention

    def fill(self, area: Area) -> Filled:
        """Copy what is missing. What is not as it was recorded is left out and noted; the rest goes on.

        Raises:
            TransientError: one of the stores does not answer.
        """
        filled = Filled()
        wanted = [info.key for info in self._source.list(area.prefix)]
        changing = self._read([key for key in wanted if area.changes(key)], filled)
        if changing:
            wanted = [info.key for info in self._source.list(area.prefix)]
        present = {info.key for info in self._target.list(area.prefix)}
        documents = [key for key in wanted if area.is_document(key) and not area.changes(key)]
        missing = [key for key in documents if key not in present]
        there = [key for key in documents if key in present]
        named = self._copy(area, missing, present, filled)
        if {key for key in wanted if not area.changes(key)} - present - named - set(documents):
            self._copy(area, there, present, filled)
        else:
            filled.complete += there
        self._copy_changing(area, changing, filled)
        return filled

    def follow(self, area: Area, prefixes: Sequence[str], changing: str) -> Filled:
        """Copy what came since the state of the changing document that the copy has, and then that document.

        Args:
            area: what kind of documents they are.
            prefixes: below which the documents lie that may have come since.
            changing: the changing document's key.

        Raises:
            TransientError: one of the stores does not answer.
        """
        filled = Filled()
        state = self._read([changing], filled)
        wanted = [info.key for prefix in prefixes for info in self._source.list(prefix)]
        present = {info.key for prefix in prefixes for info in self._target.list(prefix)}
        missing = [key for key in wanted if area.is_document(key) and key not in present]
        self._copy(area, missing, set(), filled)
        self._copy_changing(area, state, filled)
        return filled

    def _read(self, keys: Iterable[str], filled: Filled) -> dict[str, bytes]:
        found = {}
        for key in keys:
            try:
                found[key] = self._source.get_bytes(key, max_bytes=_MAX_DOCUMENT_BYTES)
            except (IntegrityError, NotFoundError) as error:
                filled.problems.append(Problem(key, error.message))
        return found

    def _copy_changing(self, area: Area, documents: Mapping[str, bytes], filled: Filled) -> None:
        """Only when nothing was left behind: they say that all of it is there."""
        for key, data in documents.items():
            if filled.problems:
                return
            try:
                area.read(data, key, self._trusted)
            except IntegrityError as error:
                filled.problems.append(Problem(key, error.message))
                continue
            self._copy_one(area, key, data, (), set(), filled)

    def _copy(self, area: Area, documents: Iterable[str], present: set[str], filled: Filled) -> set[str]:
        """Copy documents with what they name; returns the keys of all that they name."""
        named: set[str] = set()
        for key in documents:
            try:
                data = self._source.get_bytes(key, max_bytes=_MAX_DOCUMENT_BYTES)
                items = area.read(data, key, self._trusted)
            except (IntegrityError, NotFoundError) as error:
                filled.problems.append(Problem(key, error.message))
                continue
            named.update(item.key for item in items)
            self._copy_one(area, key, data, items, present, filled)
        return named

    def _copy_one(
        self,
        area: Area,
        key: str,
        data: bytes,
        items: Iterable[SealedObject],
        present: set[str],
        filled: Filled,
    ) -> None:
        """Copy one document after everything that it names; without all of that it stays behind."""
        before = len(filled.problems)
        for item in items:
            self._copy_item(item, present, filled)
        if len(filled.problems) > before:
            return
        try:
            retention = self._retention_of(area, key)
            if retention is not None:
                for item in items:
                    lock(self._target, item.key, retention)
            written = put_document(self._target, key, data, changes=area.changes(key), retention=retention)
        except (IntegrityError, NotFoundError) as error:
            filled.problems.append(Problem(key, error.message))
            return
        filled.complete.append(key)
        if written:
            self._count(filled, key, len(data))

    def _retention_of(self, area: Area, key: str) -> Retention | None:
        """Until when a document and what it names are locked in the copy; known before the document is there."""
        if area.changes(key) or area.lock is None:
            return None
        if area.lock == "policy":
            return self._retention
        if not self._target.capabilities().object_lock:
            return None
        return self._source.head(key).retention

    def _copy_item(self, item: SealedObject, present: set[str], filled: Filled) -> None:
        try:
            try:
                self._copy_sealed(item, present, filled)
            except IntegrityError:
                record = self._rewraps.find(item.key)
                if record is None:
                    raise
                self._copy_record(item.key)
                self._copy_sealed(replace(item, rewrapped=record), present, filled)
        except (IntegrityError, NotFoundError) as error:
            filled.problems.append(Problem(item.key, error.message))

    def _copy_sealed(self, item: SealedObject, present: set[str], filled: Filled) -> None:
        if item.key in present:
            check_same(self._target, item)
        elif transfer(self._source, self._target, item):
            self._count(filled, item.key, item.size_bytes)

    def _copy_record(self, key: str) -> None:
        """The record of a rewrapped object, without which nobody believes the object in the copy."""
        if not _there(self._target, record_key(key)):
            put_document(
                self._target, record_key(key), self._source.get_bytes(record_key(key)), changes=False
            )

    def _count(self, filled: Filled, key: str, size_bytes: int) -> None:
        filled.copied_objects += 1
        filled.copied_bytes += size_bytes
        self._progress(key, size_bytes)


def _there(store: ObjectStore, key: str) -> bool:
    try:
        store.head(key)
    except ObjectNotFoundError:
        return False
    return True
