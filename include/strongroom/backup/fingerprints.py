"""The fingerprints of a backup's tables, as they are sealed beside it.

    {"format": "strongroom/fingerprints/v1", "seed": 123, "lsn": "0/3000060",
     "databases": {"shop": {"tables": [{"schema": "public", "name": "orders", "rows": 5, "hash": "...",
                                        "comparable": true, "reason": null}]}}}

A table that changed between the snapshot and the restore point is there with `comparable: false` and why;
one that could not be read has neither rows nor hash.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Annotated, ClassVar, Literal

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from strongroom.backup.errors import ManifestError

FORMAT: Literal["strongroom/fingerprints/v1"] = "strongroom/fingerprints/v1"
_STRICT = ConfigDict(extra="forbid", strict=True)


@dataclass(frozen=True)
class TableFingerprint:
    """One table as it was at the source."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    schema: str
    name: str
    rows: int | None
    hash: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")] | None
    comparable: bool
    reason: str | None
    """Why it is not comparable."""


@dataclass(frozen=True)
class DatabaseFingerprints:
    """The tables of one database."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    tables: tuple[TableFingerprint, ...]


@dataclass(frozen=True)
class FingerprintDocument:
    """The tables of all databases of the cluster, in snapshots just before the restore point."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    seed: int
    lsn: str
    """Of the restore point at which the restored tables must match."""
    databases: Mapping[str, DatabaseFingerprints]
    format: Literal["strongroom/fingerprints/v1"] = FORMAT

    def encode(self) -> bytes:
        """The document as JSON."""
        return json.dumps(asdict(self), separators=(",", ":")).encode()


_ADAPTER: TypeAdapter[FingerprintDocument] = TypeAdapter(FingerprintDocument)


def parse_fingerprints(data: bytes) -> FingerprintDocument:
    """The document in `data`.

    Raises:
        ManifestError: it is not such a document.
    """
    try:
        return _ADAPTER.validate_json(data)
    except ValidationError as error:
        places = ", ".join(".".join(map(str, item["loc"])) for item in error.errors()[:5])
        raise ManifestError(f"The fingerprints of the backup are malformed at: {places}.") from error
