"""A part of an archive: the rows that left a table together, in one transaction of the source database.

    archive/<database>/<table>/<period>/<part id>/
        <table>.parquet.age      the rows of the table the rule is about, and one file more for each table whose rows
                                 refer to them and went with them
        persons.age              a keyed index of whose rows they are (see `persons`)
        manifest.json            signed; written when all of these were read back and compared, before the rows go
        receipt.json             signed; written when the source database has committed that they are gone

`period` is a calendar month (`2018-03`), `before-1900`, or `partition-<name>` for a partition that was old as a whole.

{"format": "strongroom/archive-part/v1", "part_id": "20260824T020000Z-1f3a5b7c", "database": "shop",
 "table": "public.orders", "period": "2018-03", "method": "rows",
 "rule": {"older_than": "2y", "by": "ordered_at", "keep": "8y", "purpose": "bookkeeping"}, "policy_sha256": "...",
 "source": {"system_identifier": "7...", "database": "shop"}, "cutoff": "...", "archived_at": "...",
 "delete_after": "...",
 "tables": [{"table": "public.orders", "rows": 1, "by": "ordered_at", "first": "...", "last": "...",
             "columns": [{"name": "order_id", "type": "bigint"}, ...],
             "object": {"name": "...", "size_bytes": 1, "sha256": "...", "plaintext_bytes": 1, "epoch_ids": ["..."]}}],
 "persons": {"name": "persons.age", ...}, "software": {"strongroom": "0.1.0"}, "signature": {...}}

{"format": "strongroom/archive-receipt/v1", "part_id": "...", "database": "shop", "table": "public.orders",
 "manifest_sha256": "...", "committed_at": "...", "signature": {...}}

`first` and `last` are the least and the greatest value of the column that the rule goes by, as PostgreSQL writes them
in UTC. A part may be deleted after `delete_after`: when the newest of its rows has reached the age the rule keeps it.
Which parts count is told by `standing`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal, TypeVar

from pydantic import AwareDatetime, ConfigDict, Field, TypeAdapter, ValidationError

from strongroom.archive.errors import ArchiveManifestError
from strongroom.canonical import JsonObject, canonical_bytes, parse_object
from strongroom.clock import timestamp
from strongroom.policy import split_table
from strongroom.signing import SignerKey, VerifierKey, verify_json
from strongroom.vault import StoredObject

FORMAT = "strongroom/archive-part/v1"
RECEIPT_FORMAT = "strongroom/archive-receipt/v1"
MANIFEST_NAME = "manifest.json"
RECEIPT_NAME = "receipt.json"
PERSONS_NAME = "persons.age"
ROWS_SUFFIX = ".parquet.age"
ROWS_KIND = "archive_rows"
"""The kind of a sealed Parquet file, which its header is bound to."""
PERSONS_KIND = "archive_persons"
"""The kind of a sealed index of persons."""
ROOT = "archive/"

_STRICT = ConfigDict(extra="forbid", strict=True)
_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyz0123456789_")
_LONGEST_ENCODED = 180
Count = Annotated[int, Field(ge=0)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
PartId = Annotated[str, Field(pattern=r"^\d{8}T\d{6}Z-[0-9a-f]{8}$")]
Period = Annotated[str, Field(pattern=r"^(\d{4}-\d{2}|before-1900|partition-[a-z0-9_.=~A-F-]{1,200})$")]
Method = Literal["rows", "partition"]
Document = TypeVar("Document")


@dataclass(frozen=True)
class PartRule:
    """The archive rule that the rows left by, as it stood in the policy."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    older_than: str
    by: str
    keep: str
    purpose: str


@dataclass(frozen=True)
class PartSource:
    """The database that the rows left."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    system_identifier: Annotated[str, Field(pattern=r"^[0-9]{1,20}$")]
    """The cluster's identity, drawn at initdb; text, since it exceeds what JSON numbers carry."""
    database: str
    """The database's name on its server."""


@dataclass(frozen=True)
class PartColumn:
    """A column as it was declared."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    name: str
    type: str
    """The declared type, as PostgreSQL writes it."""


@dataclass(frozen=True)
class PartObject:
    """One sealed object of a part."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    name: str
    size_bytes: Count
    sha256: Sha256
    """Of the sealed bytes."""
    plaintext_bytes: Count
    epoch_ids: tuple[str, ...]


@dataclass(frozen=True)
class PartTable:
    """The rows of one table in a part."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    table: str
    """As the policy names it."""
    rows: Count
    by: str
    """The column that the table's rule goes by."""
    first: str | None
    """The least value of that column, as PostgreSQL writes it in UTC; None without rows."""
    last: str | None
    columns: tuple[PartColumn, ...]
    object: PartObject


@dataclass(frozen=True)
class PartManifest:
    """Everything that is needed to find, check, read and in time delete the rows of a part."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    part_id: PartId
    """Sorts by time, by the source's own clock."""
    database: str
    table: str
    """The table that the rule is about, as the policy names it."""
    period: Period
    method: Method
    """`partition` when a whole partition was detached and dropped."""
    rule: PartRule
    policy_sha256: Sha256
    source: PartSource
    cutoff: AwareDatetime
    """Rows before this moment were due."""
    archived_at: AwareDatetime
    """By the source's clock, when its snapshot was taken."""
    delete_after: AwareDatetime
    """When the newest of its rows has the age that the rule keeps it to."""
    tables: tuple[PartTable, ...]
    """The rule's table first, then those whose rows went with its rows."""
    persons: PartObject | None
    """The index of persons; None where no row is anybody's."""
    software: dict[str, str]

    @property
    def prefix(self) -> str:
        """Below which key everything of the part lies."""
        return part_prefix(self.database, self.table, self.period, self.part_id)

    @property
    def key(self) -> str:
        """The manifest's own key."""
        return self.prefix + MANIFEST_NAME

    @property
    def rows(self) -> int:
        """How many rows it holds, of all its tables."""
        return sum(table.rows for table in self.tables)

    @property
    def size_bytes(self) -> int:
        """How much its sealed objects take."""
        return sum(item.size_bytes for item in self.objects())

    def objects(self) -> Iterator[PartObject]:
        """Its sealed objects."""
        yield from (table.object for table in self.tables)
        if self.persons is not None:
            yield self.persons

    def stored_rows(self, table: str) -> StoredObject | None:
        """The vault's reference to the file with a table's rows; None when the part has none of that table."""
        for item in self.tables:
            if item.table == table:
                return self._stored(item.object, ROWS_KIND)
        return None

    def stored_persons(self) -> StoredObject | None:
        """The vault's reference to the index of persons."""
        return self._stored(self.persons, PERSONS_KIND) if self.persons else None

    def document(self) -> JsonObject:
        """The manifest as JSON, not yet signed."""
        moments = {name: timestamp(getattr(self, name)) for name in ("cutoff", "archived_at", "delete_after")}
        return {"format": FORMAT, **asdict(self), **moments}

    def sign(self, signer: SignerKey) -> bytes:
        """The signed manifest as it is stored."""
        return canonical_bytes(signer.sign_json(self.document()))

    def _stored(self, item: PartObject, kind: str) -> StoredObject:
        return StoredObject(
            key=self.prefix + item.name,
            kind=kind,
            size_bytes=item.size_bytes,
            sha256=item.sha256,
            plaintext_bytes=item.plaintext_bytes,
            compressed=False,
            version_id=None,
            epoch_ids=item.epoch_ids,
        )


@dataclass(frozen=True)
class PartReceipt:
    """Says that the source database has committed that the rows of a part are gone from it."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    part_id: PartId
    database: str
    table: str
    manifest_sha256: Sha256
    committed_at: AwareDatetime

    def sign(self, signer: SignerKey) -> bytes:
        """The signed receipt as it is stored."""
        moment = {"committed_at": timestamp(self.committed_at)}
        return canonical_bytes(signer.sign_json({"format": RECEIPT_FORMAT, **asdict(self), **moment}))


_MANIFEST: TypeAdapter[PartManifest] = TypeAdapter(PartManifest)
_RECEIPT: TypeAdapter[PartReceipt] = TypeAdapter(PartReceipt)


def encoded_name(name: str) -> str:
    """A name from the database as a segment of an object's key: what is not a-z, 0-9 or _ stands as =XX (hexadecimal).

    A name that would be too long is cut and told apart by the beginning of its SHA-256; the manifest has it whole.
    """
    text = "".join(chr(byte) if chr(byte) in _PLAIN else f"={byte:02X}" for byte in name.encode())
    if len(text) <= _LONGEST_ENCODED // 2:
        return text
    return f"{text[:40]}~{hashlib.sha256(name.encode()).hexdigest()[:16]}"


def encoded_table(table: str) -> str:
    """A policy's table as a segment of an object's key."""
    return ".".join(encoded_name(part) for part in split_table(table))


def archive_prefix(database: str, table: str | None = None) -> str:
    """Below which key the parts of a database, or of one table's rule, lie."""
    return f"{ROOT}{database}/" + (f"{encoded_table(table)}/" if table else "")


def part_prefix(database: str, table: str, period: str, part_id: str) -> str:
    """Below which key everything of one part lies."""
    return f"{archive_prefix(database, table)}{period}/{part_id}/"


def rows_name(table: str) -> str:
    """The name of the file with a table's rows."""
    return encoded_table(table) + ROWS_SUFFIX


def read_manifest(data: bytes, trusted: VerifierKey, what: str) -> PartManifest:
    """The manifest in `data`, once its signature and everything in it have been checked.

    Args:
        data: the stored bytes.
        trusted: the key that must have signed it.
        what: its name, for errors.

    Raises:
        SignatureError: unsigned, altered, or signed by another key.
        ArchiveManifestError: something is missing, unknown, of the wrong type, or contradicts the rest.
    """
    manifest = _parsed(_MANIFEST, verify_json(parse_object(data, what), trusted, what), FORMAT, what)
    for problem in _contradictions(manifest):
        raise ArchiveManifestError(f"{what} contradicts itself: {problem}.")
    return manifest


def read_receipt(data: bytes, trusted: VerifierKey, what: str) -> PartReceipt:
    """The receipt in `data`, checked.

    Raises:
        SignatureError: unsigned, altered, or signed by another key.
        ArchiveManifestError: it does not keep to the format.
    """
    return _parsed(_RECEIPT, verify_json(parse_object(data, what), trusted, what), RECEIPT_FORMAT, what)


def _parsed(adapter: TypeAdapter[Document], body: Mapping[str, Any], expected: str, what: str) -> Document:
    members = dict(body)
    if members.pop("format", None) != expected:
        raise ArchiveManifestError(
            f"{what} is not of the format {expected}.",
            hint="A later version of Strongroom may have written it.",
        )
    try:
        return adapter.validate_json(json.dumps(members))
    except ValidationError as error:
        problems = "; ".join(f"{_place(item['loc'])}: {item['msg']}" for item in error.errors()[:5])
        raise ArchiveManifestError(f"{what} is malformed: {problems}") from error


def _contradictions(manifest: PartManifest) -> Iterator[str]:
    if not manifest.tables or manifest.tables[0].table != manifest.table:
        yield "it does not begin with the rows of its own table"
    tables = [item.table for item in manifest.tables]
    if len(set(tables)) != len(tables):
        yield "a table stands twice in it"
    for item in manifest.tables:
        if item.object.name != rows_name(item.table):
            yield "a file does not have its table's name"
    if manifest.persons is not None and manifest.persons.name != PERSONS_NAME:
        yield "its index of persons has another name"
    if manifest.method == "partition" and not manifest.period.startswith("partition-"):
        yield "its period does not fit how the rows left"


def _place(location: tuple[Any, ...]) -> str:
    return ".".join(str(part) for part in location) or "document"


def moment_of(part_id: str) -> datetime:
    """When a part was made, by the source's clock, as its id says."""
    return datetime.strptime(part_id[:16] + "+0000", "%Y%m%dT%H%M%SZ%z")
