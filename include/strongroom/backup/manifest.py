"""The manifest of a backup: signed JSON, written last, without which the objects are not a backup.

{"format": "strongroom/backup-manifest/v1", "backup_id": "20260824T020000Z-1f3a", "database": "shop",
 "method": "physical", "kind": "full", "started_at": "...", "finished_at": "...",
 "server": {"version": "18.6", "major": 18, "system_identifier": "7...", "timeline": 1,
            "wal_segment_bytes": 16777216, "data_checksums": true},
 "start_lsn": "0/2000028", "stop_lsn": "0/2000120",
 "restore_point": {"name": "strongroom_<backup id>", "lsn": "0/3000060"},
 "objects": [{"name": "base.tar.zst.age", "role": "base", "key": "...", "size_bytes": 1, "sha256": "...",
              "plaintext_bytes": 1, "epoch_ids": ["..."]}, ...],
 "chain": {"parent_id": "...", "parent_manifest_sha256": "...", "full_id": "...", "position": 1},
 "server_manifest_sha256": "...", "kind_reason": "...",
 "policy_sha256": "...", "fencing_number": 1, "software": {"strongroom": "0.1.0"},
 "signature": {...}}

`chain` is there when the backup is incremental, and only then: it cannot be restored without the one before it,
down to the full backup. Members that do not apply are left out, so a manifest of the first version reads as before.

A physical backup has one `base`, one `wal`, and a `tablespace` for each that the cluster has; a logical one has
`contents`, `globals`, `pre`, `post`, several `data` and perhaps `large_objects`. The restore point of a logical one is
its snapshot's name and the position at which that was taken; the WAL does not hold it. `server_manifest` is
PostgreSQL's own backup_manifest, which the next incremental backup starts from.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AwareDatetime, ConfigDict, Field, TypeAdapter, ValidationError

from strongroom.backup.errors import ManifestError
from strongroom.canonical import JsonObject, canonical_bytes, parse_object
from strongroom.clock import timestamp
from strongroom.postgres import parse_lsn
from strongroom.signing import SignerKey, VerifierKey, verify_json
from strongroom.vault import StoredObject

FORMAT = "strongroom/backup-manifest/v1"
MANIFEST_NAME = "manifest.json"
OBJECT_KIND = "backup"
"""The kind of every sealed object of a backup, which its header is bound to."""

_STRICT = ConfigDict(extra="forbid", strict=True)
Count = Annotated[int, Field(ge=0)]
Lsn = Annotated[str, Field(pattern=r"^[0-9A-F]{1,8}/[0-9A-F]{1,8}$")]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
BackupId = Annotated[str, Field(pattern=r"^\d{8}T\d{6}Z-[0-9a-f]{4}$")]
Role = Literal[
    "base",
    "wal",
    "fingerprints",
    "server_manifest",
    "tablespace",
    "contents",
    "globals",
    "pre",
    "data",
    "post",
    "large_objects",
]
REASON_LENGTH = 500
_REPEATED = frozenset({"data", "tablespace"})
_TABLESPACE = re.compile(r"^tablespaces/([1-9]\d*)\.tar\.zst\.age$")
_OPTIONAL = ("chain", "server_manifest_sha256", "kind_reason")


@dataclass(frozen=True)
class ServerFacts:
    """The server that was backed up."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    version: str
    major: int
    system_identifier: Annotated[str, Field(pattern=r"^[0-9]{1,20}$")]
    """The cluster's identity, drawn at initdb; text, since it exceeds what JSON numbers carry."""
    timeline: Annotated[int, Field(ge=1)]
    wal_segment_bytes: Annotated[int, Field(ge=1 << 20)]
    data_checksums: bool


@dataclass(frozen=True)
class RestorePoint:
    """The named position in the WAL that recovery goes to."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    name: Annotated[str, Field(max_length=63)]
    lsn: Lsn


@dataclass(frozen=True)
class ChainLink:
    """What an incremental backup builds on."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    parent_id: BackupId
    """The backup just before it in the chain."""
    parent_manifest_sha256: Sha256
    """Of the parent's manifest as it is stored: another backup under the same id is not the parent."""
    full_id: BackupId
    """The full backup that the chain begins with."""
    position: Annotated[int, Field(ge=1)]
    """How many backups lie below it: 1 for the first incremental."""


@dataclass(frozen=True)
class ManifestObject:
    """One sealed object of the backup."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    name: str
    role: Role
    key: str
    size_bytes: Count
    sha256: Sha256
    """Of the sealed bytes."""
    plaintext_bytes: Count
    epoch_ids: tuple[str, ...]

    @property
    def tablespace_oid(self) -> int | None:
        """The tablespace that it holds; None for every other role."""
        match = _TABLESPACE.fullmatch(self.name) if self.role == "tablespace" else None
        return int(match[1]) if match else None

    def stored(self) -> StoredObject:
        """The vault's reference to it: what is fetched must match it to the byte."""
        return StoredObject(
            key=self.key,
            kind=OBJECT_KIND,
            size_bytes=self.size_bytes,
            sha256=self.sha256,
            plaintext_bytes=self.plaintext_bytes,
            compressed=self.name.endswith(".zst.age"),
            version_id=None,
            epoch_ids=self.epoch_ids,
        )


@dataclass(frozen=True)
class BackupManifest:
    """Everything that is needed to find, check and restore a backup."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    backup_id: BackupId
    """Sorts by time, by the database server's own clock."""
    database: str
    method: Literal["physical", "logical"]
    kind: Literal["full", "incremental"]
    started_at: AwareDatetime
    finished_at: AwareDatetime
    server: ServerFacts
    start_lsn: Lsn
    stop_lsn: Lsn
    restore_point: RestorePoint
    objects: tuple[ManifestObject, ...]
    policy_sha256: Sha256
    fencing_number: Annotated[int, Field(ge=1)]
    software: dict[str, str]
    chain: ChainLink | None = None
    """What an incremental backup builds on; a full backup has none."""
    server_manifest_sha256: Sha256 | None = None
    """Of PostgreSQL's backup_manifest, opened and decompressed; None before PostgreSQL 17, which cannot use it."""
    kind_reason: Annotated[str, Field(max_length=REASON_LENGTH)] | None = None
    """Why it is a full backup, where an incremental one might have been expected."""

    def object(self, role: Role) -> ManifestObject:
        """The object of that role.

        Raises:
            ManifestError: there is none.
        """
        for item in self.objects:
            if item.role == role:
                return item
        raise ManifestError(f"The manifest of the backup {self.backup_id} names no object of role {role}.")

    def having(self, role: Role) -> tuple[ManifestObject, ...]:
        """All objects of that role, which may be none."""
        return tuple(item for item in self.objects if item.role == role)

    @property
    def stored_bytes(self) -> int:
        """How much room the sealed objects take."""
        return sum(item.size_bytes for item in self.objects)

    @property
    def plaintext_bytes(self) -> int:
        """How much was sealed."""
        return sum(item.plaintext_bytes for item in self.objects)

    @property
    def key(self) -> str:
        """The manifest's own key in the bucket."""
        return manifest_key(self.database, self.backup_id)

    def document(self) -> JsonObject:
        """The manifest as a JSON object, not signed yet."""
        members = asdict(self)
        return {
            "format": FORMAT,
            **{name: value for name, value in members.items() if name not in _OPTIONAL or value is not None},
            "started_at": timestamp(self.started_at),
            "finished_at": timestamp(self.finished_at),
            "objects": [{**asdict(item), "epoch_ids": list(item.epoch_ids)} for item in self.objects],
        }

    def sign(self, signer: SignerKey) -> bytes:
        """The signed manifest as the bytes that are stored."""
        return canonical_bytes(signer.sign_json(self.document())) + b"\n"


_ADAPTER: TypeAdapter[BackupManifest] = TypeAdapter(BackupManifest)


def backup_prefix(database: str, backup_id: str = "") -> str:
    """Where a backup's objects lie; without an id, where all of the database's lie."""
    return f"backups/{database}/{backup_id}/" if backup_id else f"backups/{database}/"


def manifest_key(database: str, backup_id: str) -> str:
    """The key of a backup's manifest."""
    return f"{backup_prefix(database, backup_id)}{MANIFEST_NAME}"


def read_manifest(data: bytes, trusted: VerifierKey, what: str = "The backup's manifest") -> BackupManifest:
    """The manifest in `data`, once its signature and everything in it have been checked.

    Args:
        data: the stored bytes.
        trusted: the key that must have signed it.
        what: its name, for errors.

    Raises:
        SignatureError: unsigned, altered, or signed by another key.
        ManifestError: something is missing, unknown, of the wrong type, or contradicts the rest.
    """
    return parse_manifest(verify_json(parse_object(data, what), trusted, what), what)


def parse_manifest(body: JsonObject, what: str = "The backup's manifest") -> BackupManifest:
    """The manifest in a document whose signature was checked already.

    Raises:
        ManifestError: something is missing, unknown, of the wrong type, or contradicts the rest.
    """
    members = dict(body)
    if members.pop("format", None) != FORMAT:
        raise ManifestError(
            f"{what} is not of the format {FORMAT}.",
            hint="A later version of Strongroom may have written it.",
        )
    try:
        manifest = _ADAPTER.validate_json(json.dumps(members))
    except ValidationError as error:
        problems = "; ".join(f"{_place(item['loc'])}: {item['msg']}" for item in error.errors()[:5])
        raise ManifestError(f"{what} is malformed: {problems}") from error
    for problem in _contradictions(manifest):
        raise ManifestError(f"{what} contradicts itself: {problem}.")
    return manifest


def _contradictions(manifest: BackupManifest) -> Iterator[str]:
    prefix = backup_prefix(manifest.database, manifest.backup_id)
    for item in manifest.objects:
        if item.key != prefix + item.name:
            yield f"{item.name} does not lie below {prefix}"
        if item.role == "tablespace" and item.tablespace_oid is None:
            yield f"{item.name} is not the name of a tablespace's object"
    roles = [item.role for item in manifest.objects if item.role not in _REPEATED]
    if len(set(roles)) != len(roles):
        yield "two objects have the same role"
    names = [item.name for item in manifest.objects]
    if len(set(names)) != len(names):
        yield "two objects have the same name"
    if manifest.method == "physical" and not {"base", "wal"} <= set(roles):
        yield "a physical backup has a base and its WAL"
    start, stop = parse_lsn(manifest.start_lsn), parse_lsn(manifest.stop_lsn)
    if not start <= stop <= parse_lsn(manifest.restore_point.lsn):
        yield "start, stop and restore point are not in this order"
    if manifest.finished_at < manifest.started_at:
        yield "it finished before it started"
    yield from _chain_contradictions(manifest)
    if manifest.method == "logical" and not {"contents", "pre", "post"} <= set(roles):
        yield "a logical backup has contents and definitions"


def _chain_contradictions(manifest: BackupManifest) -> Iterator[str]:
    chain = manifest.chain
    if (manifest.kind == "incremental") != (chain is not None):
        yield "an incremental backup, and only that, has a chain"
    if chain is None:
        return
    if manifest.method != "physical":
        yield "only physical backups are incremental"
    if not chain.full_id <= chain.parent_id < manifest.backup_id:
        yield "the backups of its chain are not older than it"
    if (chain.position == 1) != (chain.parent_id == chain.full_id):
        yield "its position in the chain does not fit its parent"


def _place(location: tuple[Any, ...]) -> str:
    return ".".join(str(part) for part in location) or "manifest"


def moment_of(backup_id: str) -> datetime:
    """When a backup began, by the database server's clock, as its id says."""
    return datetime.strptime(backup_id[:16] + "+0000", "%Y%m%dT%H%M%SZ%z")
