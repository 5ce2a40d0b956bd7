"""Parts of archives as things with a lifetime, also those that are unfinished, damaged or of a later format.

A part lives until its newest row has the age that the rule keeps it to: the rule that the policy has now for the
table, or, where it has none any more, the one that the rows left by.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime

from strongroom.archive.manifest import MANIFEST_NAME, RECEIPT_NAME, PartManifest, archive_prefix
from strongroom.archive.standing import Part, read_part
from strongroom.durations import Duration, DurationError
from strongroom.errors import IntegrityError
from strongroom.lifetimes import Item, ItemObject, Kind, LifetimeSource
from strongroom.signing import VerifierKey
from strongroom.storage import ObjectInfo, ObjectNotFoundError, ObjectStore

_UNFINISHED = "a sweep works on it, or was killed: the next one finishes it or takes it away"


class ArchiveLifetimes(LifetimeSource):
    """The archive of one database in one store.

    Args:
        store: the store, or a copy.
        database: whose archive.
        trusted: the key that documents must be signed with.
        keeps: how long archived rows are kept now, by table as the policy names it.
    """

    def __init__(
        self, store: ObjectStore, database: str, trusted: VerifierKey, keeps: Mapping[str, Duration]
    ) -> None:
        self._store, self._database, self._trusted, self._keeps = store, database, trusted, keeps
        self._moments: list[datetime] = []

    def items(self) -> Iterator[Item]:
        folders: dict[str, list[ObjectInfo]] = defaultdict(list)
        for info in self._store.list(archive_prefix(self._database)):
            folders[info.key.rpartition("/")[0] + "/"].append(info)
        has_locks = self._store.capabilities().object_lock
        for folder, found in folders.items():
            yield self._item(folder, found, has_locks)

    def signed_moments(self) -> Iterator[datetime]:
        return iter(self._moments)

    def _item(self, folder: str, found: Sequence[ObjectInfo], has_locks: bool) -> Item:
        objects, newest = _in_order(folder, found), max(info.modified_at for info in found)
        names = {info.key.removeprefix(folder) for info in found}
        if MANIFEST_NAME not in names:
            if RECEIPT_NAME in names:
                return self._unknown(
                    folder, objects, newest, "a part's receipt is there and its manifest is not"
                )
            name = f"debris/{folder.rstrip('/')}"
            return Item(Kind.DEBRIS, name, self._database, newest, objects, in_use=_UNFINISHED)
        try:
            part = read_part(self._store, self._trusted, folder, has_receipt=RECEIPT_NAME in names)
        except (IntegrityError, ObjectNotFoundError) as error:
            return self._unknown(folder, objects, newest, error.message)
        self._moments.append(part.manifest.archived_at)
        return self._part(part, objects, has_locks)

    def _part(self, part: Part, objects: tuple[ItemObject, ...], has_locks: bool) -> Item:
        manifest, root = part.manifest, part.manifest.tables[0]
        expires_at = self._expiry(manifest)
        lock = self._store.head(manifest.key) if has_locks else None
        first, last = _moment(root.first), _moment(root.last)
        return Item(
            Kind.ARCHIVE,
            "archive/" + manifest.prefix.removeprefix(archive_prefix(self._database)).rstrip("/"),
            self._database,
            manifest.archived_at,
            objects,
            locked_until=lock.retention.until if lock and lock.retention else None,
            legal_hold=lock.legal_hold if lock else False,
            expires_at=expires_at,
            # an item names one table or none, and a hold on a table reaches an item that names none
            table=manifest.table if len(manifest.tables) == 1 else None,
            covers=(first, last) if first and last else None,
            in_use=None if part.receipt is not None else _UNFINISHED,
            detail=f"{manifest.rows} rows, the newest from {(root.last or 'never')[:10]}, are kept for"
            f" {manifest.rule.purpose} until {expires_at:%Y-%m-%d}",
            counts={"rows": manifest.rows},
        )

    def _expiry(self, manifest: PartManifest) -> datetime:
        keep = self._keeps.get(manifest.table)
        newest = [_moment(table.last) for table in manifest.tables if table.last is not None]
        moments = [moment for moment in newest if moment is not None]
        if keep is None or not moments or len(moments) < len(newest):
            return manifest.delete_after
        try:
            return keep.after(max(moments))
        except DurationError:  # beyond the calendar's end
            return manifest.delete_after

    def _unknown(self, folder: str, objects: tuple[ItemObject, ...], newest: datetime, why: str) -> Item:
        return Item(
            Kind.UNKNOWN, f"unknown/{folder.rstrip('/')}", self._database, newest, objects, detail=why
        )


def _in_order(folder: str, found: Sequence[ObjectInfo]) -> tuple[ItemObject, ...]:
    """The manifest first, without which it is no part any more; then the receipt, then the rest."""
    first = {folder + MANIFEST_NAME: 0, folder + RECEIPT_NAME: 1}
    ordered = sorted(found, key=lambda info: (first.get(info.key, 2), info.key))
    return tuple(ItemObject(info.key, info.size_bytes) for info in ordered)


def _moment(text: str | None) -> datetime | None:
    """A moment as PostgreSQL writes it; None where this program's calendar does not have it."""
    try:
        moment = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
