"""Signed JSON beside the sealed WAL: which segments count, what a timeline's past is, up to when all is here.

{"format": "strongroom/wal-receipt/v1", "database": "shop", "system_identifier": "7...", "timeline": 1,
 "wal_segment_bytes": 16777216, "server_version": "18.6",
 "segments": [{"name": "000000010000000000000003", "key": "...", "size_bytes": 1, "sha256": "...",
               "plaintext_bytes": 16777216, "epoch_ids": ["..."]}, ...],
 "covered": {"clock": "...", "position": "0/4000000"} | null,
 "fencing_number": 1, "policy_sha256": "...", "software": {"strongroom": "0.1.0"}, "signature": {...}}

`covered` ties the source's clock to the log: every transaction whose commit the server had confirmed before `clock`
lies before `position`, and everything before `position` is in the archive.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Annotated, Any, ClassVar, TypeVar

from pydantic import AwareDatetime, ConfigDict, Field, TypeAdapter, ValidationError

from strongroom.backup.continuous.errors import ReceiptError
from strongroom.backup.continuous.history import TimelineHistory, TimelineSwitch, checked_history
from strongroom.backup.continuous.layout import (
    OBJECT_KIND,
    coverage_key,
    history_receipt_key,
    is_history_key,
    is_segment_key,
    receipt_key,
)
from strongroom.backup.continuous.segments import start_of
from strongroom.canonical import canonical_bytes, parse_object
from strongroom.clock import timestamp
from strongroom.errors import StrongroomError
from strongroom.postgres import format_lsn, parse_lsn
from strongroom.signing import SignerKey, VerifierKey, verify_json
from strongroom.vault import StoredObject

SEGMENTS_FORMAT = "strongroom/wal-receipt/v1"
HISTORY_FORMAT = "strongroom/wal-history/v1"
COVERAGE_FORMAT = "strongroom/wal-coverage/v1"

_STRICT = ConfigDict(extra="forbid", strict=True)
_Count = Annotated[int, Field(ge=0)]
_Timeline = Annotated[int, Field(ge=1, le=0xFFFFFFFF)]
_Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
_Lsn = Annotated[str, Field(pattern=r"^[0-9A-F]{1,8}/[0-9A-F]{1,8}$")]
_Identifier = Annotated[str, Field(pattern=r"^[0-9]{1,20}$")]
_Segment = Annotated[str, Field(pattern=r"^[0-9A-F]{24}$")]


@dataclass(frozen=True)
class ArchivedSegment:
    """A segment that a receipt names."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    name: _Segment
    key: str
    size_bytes: _Count
    sha256: _Sha256
    """Of the sealed bytes."""
    plaintext_bytes: _Count
    epoch_ids: tuple[str, ...]

    def stored(self) -> StoredObject:
        """The vault's reference to it: what is fetched must match it to the byte."""
        return _reference(self, compressed=True)


@dataclass(frozen=True)
class ArchivedHistory:
    """A sealed timeline history that a receipt names."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    key: str
    size_bytes: _Count
    sha256: _Sha256
    plaintext_bytes: _Count
    epoch_ids: tuple[str, ...]

    def stored(self) -> StoredObject:
        """The vault's reference to it."""
        return _reference(self, compressed=False)


@dataclass(frozen=True)
class Covered:
    """Up to when, and up to where, everything is in the archive."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    clock: AwareDatetime
    """By the source's clock: every commit that was confirmed before it lies before `position`."""
    position: _Lsn


@dataclass(frozen=True)
class SegmentsReceipt:
    """A run of segments without a hole, of one timeline."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    database: str
    system_identifier: _Identifier
    timeline: _Timeline
    wal_segment_bytes: _Count
    server_version: str
    segments: Annotated[tuple[ArchivedSegment, ...], Field(min_length=1)]
    covered: Covered | None
    fencing_number: Annotated[int, Field(ge=1)]
    policy_sha256: _Sha256
    software: dict[str, str]

    @property
    def key(self) -> str:
        """The receipt's own key in the bucket."""
        return receipt_key(
            self.database, self.system_identifier, self.segments[0].name, self.segments[-1].name
        )

    @property
    def end(self) -> int:
        """The byte position at which its last segment ends."""
        return start_of(self.segments[-1].name, self.wal_segment_bytes) + self.wal_segment_bytes

    def sign(self, signer: SignerKey) -> bytes:
        """The signed receipt as the bytes that are stored."""
        return _signed(self, SEGMENTS_FORMAT, signer)


@dataclass(frozen=True)
class _Switch:
    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    timeline: _Timeline
    position: _Lsn


@dataclass(frozen=True)
class HistoryReceipt:
    """A timeline's past, and the sealed file that holds it."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    database: str
    system_identifier: _Identifier
    timeline: _Timeline
    switches: tuple[_Switch, ...]
    file: ArchivedHistory
    policy_sha256: _Sha256
    software: dict[str, str]

    @classmethod
    def of(
        cls, history: TimelineHistory, *, database: str, system_identifier: str, **members: Any
    ) -> HistoryReceipt:
        """The receipt of a history."""
        switches = tuple(_Switch(item.timeline, format_lsn(item.position)) for item in history.switches)
        return cls(database, system_identifier, history.timeline, switches, **members)

    @property
    def key(self) -> str:
        """The receipt's own key in the bucket."""
        return history_receipt_key(self.database, self.system_identifier, self.timeline)

    @property
    def history(self) -> TimelineHistory:
        """What the file says."""
        switches = tuple(TimelineSwitch(item.timeline, parse_lsn(item.position)) for item in self.switches)
        return TimelineHistory(self.timeline, switches)

    def sign(self, signer: SignerKey) -> bytes:
        """The signed receipt as the bytes that are stored."""
        return _signed(self, HISTORY_FORMAT, signer)


@dataclass(frozen=True)
class Coverage:
    """Up to when a timeline is complete, also when nothing was written and so no segment shipped."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    database: str
    system_identifier: _Identifier
    timeline: _Timeline
    covered: Covered
    transactions: _Sha256
    """Of the server's snapshot just before that position: while it stays the same, nothing has committed."""
    fencing_number: Annotated[int, Field(ge=1)]

    @property
    def key(self) -> str:
        """Its own key in the bucket."""
        return coverage_key(self.database, self.system_identifier, self.timeline)

    def sign(self, signer: SignerKey) -> bytes:
        """The signed document as the bytes that are stored."""
        return _signed(self, COVERAGE_FORMAT, signer)


Document = TypeVar("Document", SegmentsReceipt, HistoryReceipt, Coverage)
_FORMATS: dict[type[Any], tuple[str, TypeAdapter[Any]]] = {
    SegmentsReceipt: (SEGMENTS_FORMAT, TypeAdapter(SegmentsReceipt)),
    HistoryReceipt: (HISTORY_FORMAT, TypeAdapter(HistoryReceipt)),
    Coverage: (COVERAGE_FORMAT, TypeAdapter(Coverage)),
}


def read_receipt(kind: type[Document], data: bytes, key: str, trusted: VerifierKey) -> Document:
    """The receipt in `data`, once its signature, its content and its place were checked.

    Args:
        kind: which of the three it must be.
        data: the stored bytes.
        key: where they lay: one that was moved counts for nothing.
        trusted: the key that must have signed it.

    Raises:
        SignatureError: unsigned, altered, or signed by another key.
        ReceiptError: malformed, contradicts itself, or lies where it does not belong.
    """
    what = f"The WAL receipt {key}"
    members = dict(verify_json(parse_object(data, what), trusted, what))
    format_name, adapter = _FORMATS[kind]
    if members.pop("format", None) != format_name:
        raise ReceiptError(
            f"{what} is not of the format {format_name}.", hint="A later Strongroom may have written it."
        )
    try:
        document: Document = adapter.validate_json(json.dumps(members))
    except ValidationError as error:
        problems = "; ".join(f"{item['loc']}: {item['msg']}" for item in error.errors()[:5])
        raise ReceiptError(f"{what} is malformed: {problems}") from error
    try:
        problem = next(_contradictions(document, key), None)
    except StrongroomError as error:
        raise ReceiptError(f"{what} contradicts itself: {error.message}") from error
    if problem:
        raise ReceiptError(f"{what} contradicts itself: {problem}.")
    return document


def _contradictions(receipt: SegmentsReceipt | HistoryReceipt | Coverage, key: str) -> Iterator[str]:
    if receipt.key != key:
        yield f"it belongs under {receipt.key}"
    if isinstance(receipt, SegmentsReceipt):
        yield from _segment_contradictions(receipt)
    elif isinstance(receipt, HistoryReceipt):
        checked_history(receipt.history)
        place = (receipt.database, receipt.system_identifier, receipt.timeline)
        if not is_history_key(receipt.file.key, *place):
            yield "its file lies elsewhere"


def _segment_contradictions(receipt: SegmentsReceipt) -> Iterator[str]:
    size = receipt.wal_segment_bytes
    at = start_of(receipt.segments[0].name, size)
    for segment in receipt.segments:
        if int(segment.name[:8], 16) != receipt.timeline or start_of(segment.name, size) != at:
            yield f"{segment.name} does not follow the one before it"
        if not is_segment_key(segment.key, receipt.database, receipt.system_identifier, segment.name):
            yield f"{segment.name} lies elsewhere"
        if segment.plaintext_bytes != size:
            yield f"{segment.name} has {segment.plaintext_bytes} bytes"
        at += size
    if receipt.covered is not None and parse_lsn(receipt.covered.position) > at:
        yield "it covers more than it holds"


def _reference(item: ArchivedSegment | ArchivedHistory, *, compressed: bool) -> StoredObject:
    return StoredObject(
        key=item.key,
        kind=OBJECT_KIND,
        size_bytes=item.size_bytes,
        sha256=item.sha256,
        plaintext_bytes=item.plaintext_bytes,
        compressed=compressed,
        version_id=None,
        epoch_ids=item.epoch_ids,
    )


def _signed(receipt: Any, format_name: str, signer: SignerKey) -> bytes:
    body = {"format": format_name, **_plain(asdict(receipt))}
    return canonical_bytes(signer.sign_json(body)) + b"\n"


def _plain(value: Any) -> Any:
    """The value as JSON has it: times as text, tuples as lists."""
    if isinstance(value, datetime):
        return timestamp(value)
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return value
