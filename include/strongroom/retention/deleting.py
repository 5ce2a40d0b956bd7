"""Deleting what a plan deletes, in one place: announced first, dependants first, every version, then looked at.

    announced in the bucket → whoever reads or holds something by now keeps it → per folder: attempt recorded
    → versions deleted → listing: nothing of it is left → index and result recorded → announcement taken back

A purge that is killed leaves the announcement; the next one finishes what has lost its document, and forgets the rest.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from strongroom.lifetimes import Item, Kind
from strongroom.retention.errors import NotGoneError
from strongroom.retention.marks import DeletedItem, Deletion, MarkStore
from strongroom.retention.trail import PurgeTrail
from strongroom.signing import SignerKey
from strongroom.storage import ObjectInfo, ObjectLockedError, ObjectNotFoundError, ObjectStore

_KINDS = list(Kind)
_LOCKED_AS_A_WHOLE = frozenset({Kind.BACKUP, Kind.ARCHIVE})


@dataclass
class Outcome:
    """What became of the items that were to be deleted."""

    deleted: list[str] = field(default_factory=list)
    spared: dict[str, str] = field(default_factory=dict)
    """Those that are still there, and why."""
    objects: int = 0
    size_bytes: int = 0


@dataclass(frozen=True)
class Deleter:
    """Deletes in one place.

    Args:
        store: the place itself: the store or a copy.
        marks: announces deletions, always in the store.
        signer: signs the announcement.
        trail: records.
        alive: raises when this purge may not go on.
        free: gives those of some items that nobody uses and no hold reaches, asked anew.
    """

    store: ObjectStore
    marks: MarkStore
    signer: SignerKey
    trail: PurgeTrail
    alive: Callable[[], None]
    free: Callable[[Sequence[Item]], Mapping[str, str]]
    """Asked with items; gives why some of them must stay, by id."""

    def delete(self, place: str, plan_sha256: str, doomed: Sequence[tuple[Item, tuple[str, ...]]]) -> Outcome:
        """Delete items, each with the keys that go with it.

        Raises:
            NotGoneError: something is still there afterwards, and no lock explains it.
            LeaseLostError: another purge took over.
            TransientError: the store or the control database failed; the next purge goes on from there.
        """
        outcome = Outcome()
        if not doomed:
            return outcome
        ordered = sorted(doomed, key=lambda pair: _order(pair[0]))
        entries = tuple(DeletedItem.of(item, keys) for item, keys in ordered)
        self.marks.announce(Deletion(place, plan_sha256, entries), self.signer)
        outcome.spared |= self.free([item for item, _ in ordered])
        spared_keys = {key for one in entries if one.id in outcome.spared for key in one.keys}
        left = [one for one in entries if one.id not in outcome.spared]
        dependants = _dependants(item for item, _ in ordered)
        for folder, group in _folders(left).items():
            self.alive()
            group = [one for one in group if not _needed(one, dependants, outcome)]
            self._delete_group(place, folder, group, spared_keys, outcome)
        self.marks.conclude()
        return outcome

    def finish(self, deletion: Deletion) -> None:
        """Finish what a purge that was killed had begun: what lost its document is nothing any more.

        Debris has none, and a later run may have written something that counts under the same keys: the next plan finds
        what is left of it.
        """
        for folder, group in _folders(deletion.items).items():
            self.alive()
            begun = [one for one in group if one.kind is not Kind.DEBRIS and not self._exists(one.keys[0])]
            if begun:
                self._delete_group(deletion.place, folder, begun, set(), Outcome())
        self.marks.conclude()

    def _delete_group(
        self,
        place: str,
        folder: str,
        group: Sequence[DeletedItem],
        spared_keys: set[str],
        outcome: Outcome,
    ) -> None:
        versions = self._versions(folder, group)
        group = [one for one in group if not self._locked(one, versions, outcome)]
        if not group:
            return
        with self.trail.deletion(place, folder, group) as done:
            for one in group:
                for key in _all_keys(one, versions):
                    for version in versions.pop(key, ()):
                        if key not in spared_keys and self._delete_version(version, one, outcome):
                            done.objects += 1
                            done.size_bytes += version.size_bytes
            self._look(folder, group, outcome)
            gone = [one for one in group if one.id not in outcome.spared]
            done.items = gone
        outcome.deleted += [one.id for one in gone]
        outcome.objects += done.objects
        outcome.size_bytes += done.size_bytes

    def _versions(self, folder: str, group: Iterable[DeletedItem]) -> dict[str, list[ObjectInfo]]:
        """Every version of what is deleted: of a backup all that lies in its folder, also what the listing hides."""
        wanted = {key for one in group for key in one.keys}
        whole = any(_owns_folder(one) for one in group)
        found: dict[str, list[ObjectInfo]] = defaultdict(list)
        for info in self.store.list_versions(folder):
            if whole or info.key in wanted:
                found[info.key].append(info)
        return found

    def _locked(
        self, one: DeletedItem, versions: Mapping[str, Sequence[ObjectInfo]], outcome: Outcome
    ) -> bool:
        """Whether part of it is locked: then nothing of it is deleted, so that no half of it is left."""
        if one.kind not in _LOCKED_AS_A_WHOLE or not self.store.capabilities().object_lock:
            return False
        now = self.trail.clock.now()
        for key in one.keys:
            for version in versions.get(key, ()):
                try:
                    info = self.store.head(key, version_id=version.version_id)
                except ObjectNotFoundError:
                    continue
                if info.legal_hold or (info.retention is not None and info.retention.until > now):
                    outcome.spared[one.id] = f"{key} is locked"
                    return True
        return False

    def _delete_version(self, version: ObjectInfo, one: DeletedItem, outcome: Outcome) -> bool:
        try:
            self.store.delete_version(version.key, version.version_id)
        except ObjectLockedError:
            outcome.spared[one.id] = f"{version.key} is locked"
            return False
        return True

    def _look(self, folder: str, group: Sequence[DeletedItem], outcome: Outcome) -> None:
        """Nothing that was to go is there any more, in no version."""
        left = self._versions(folder, [one for one in group if one.id not in outcome.spared])
        for one in group:
            still = next((key for key in one.keys if left.get(key)), None)
            if still is not None and one.id not in outcome.spared:
                raise NotGoneError(
                    f"{still} was deleted and is still in {self.store.url}.",
                    hint="Something writes it again, or the store does not delete: look at who has access.",
                )

    def _exists(self, key: str) -> bool:
        try:
            self.store.head(key)
        except ObjectNotFoundError:
            return False
        return True


def _order(item: Item) -> tuple[int, float, str]:
    """Dependants before what they build on: newer ones first, kind by kind."""
    return _KINDS.index(item.kind), -item.created_at.timestamp(), item.id


def _dependants(items: Iterable[Item]) -> dict[str, list[str]]:
    """By item, those of the others that build on it."""
    found: dict[str, list[str]] = defaultdict(list)
    for item in items:
        for needed in item.depends_on:
            found[needed].append(item.id)
    return found


def _needed(one: DeletedItem, dependants: Mapping[str, Sequence[str]], outcome: Outcome) -> bool:
    """Whether something that builds on it was to go before it and is still there: then it stays as well."""
    still = [name for name in dependants.get(one.id, ()) if name not in outcome.deleted]
    if still:
        outcome.spared[one.id] = f"{still[0]} builds on it and is still there"
    return bool(still)


def _folders(entries: Iterable[DeletedItem]) -> dict[str, list[DeletedItem]]:
    """The items by the folder that is listed for them, in their order."""
    found: dict[str, list[DeletedItem]] = defaultdict(list)
    for one in entries:
        if one.keys:
            found[_folder(one)].append(one)
    return found


def _folder(one: DeletedItem) -> str:
    parts = one.keys[0].split("/")
    depth = {"backups": 3, "wal": 4, "proofs": 2, "archive": 3}.get(parts[0], len(parts) - 1)
    return "/".join(parts[:depth]) + "/"


def _owns_folder(one: DeletedItem) -> bool:
    return one.kind is Kind.BACKUP


def _all_keys(one: DeletedItem, versions: Mapping[str, Sequence[ObjectInfo]]) -> tuple[str, ...]:
    """The keys that go with an item, its document first."""
    if not _owns_folder(one):
        return one.keys
    return (*one.keys, *sorted(set(versions) - set(one.keys)))
