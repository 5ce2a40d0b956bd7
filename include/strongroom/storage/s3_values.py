"""S3's words for what a store says of an object, and back."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any

from strongroom.storage.interface import Condition, ObjectInfo, Retention

TOKEN = "strongroom-write"  # noqa: S105  # a metadata name, no secret
"""The metadata entry by which a writer recognises its own object when the answer to its write was lost."""


def condition_arguments(condition: Condition) -> dict[str, Any]:
    """The condition as arguments of a write."""
    if condition.kind == "if_absent":
        return {"IfNoneMatch": "*"}
    if condition.kind == "if_match":
        return {"IfMatch": f'"{condition.etag}"'}
    return {}


def retention_arguments(retention: Retention | None) -> dict[str, Any]:
    """The retention as arguments of a write."""
    if retention is None:
        return {}
    return {"ObjectLockMode": retention.mode.upper(), "ObjectLockRetainUntilDate": retention.until}


def info_of_head(key: str, answer: Mapping[str, Any]) -> ObjectInfo:
    """An object as HeadObject or GetObject describe it."""
    return ObjectInfo(
        key=key,
        size_bytes=int(answer["ContentLength"]),
        etag=answer["ETag"].strip('"'),
        modified_at=answer["LastModified"].astimezone(UTC),
        version_id=version_of(answer),
        sha256=whole_sha256(answer),
        retention=_retention(answer),
        legal_hold=answer.get("ObjectLockLegalHoldStatus") == "ON",
    )


def info_of_put(
    key: str, answer: Mapping[str, Any], size_bytes: int, sha256: str, retention: Retention | None
) -> ObjectInfo:
    """An object as PutObject confirms it; the server checked the checksum, and tells the time in its answer."""
    headers: Mapping[str, str] = answer["ResponseMetadata"]["HTTPHeaders"]
    return ObjectInfo(
        key=key,
        size_bytes=size_bytes,
        etag=answer["ETag"].strip('"'),
        modified_at=parsedate_to_datetime(headers["date"]).astimezone(UTC),
        version_id=version_of(answer),
        sha256=sha256,
        retention=retention,
    )


def info_of_listing(key: str, entry: Mapping[str, Any]) -> ObjectInfo:
    """An object or version as a listing describes it."""
    return ObjectInfo(
        key=key,
        size_bytes=int(entry["Size"]),
        etag=entry["ETag"].strip('"'),
        modified_at=entry["LastModified"].astimezone(UTC),
        version_id=version_of(entry),
    )


def whole_sha256(answer: Mapping[str, Any]) -> str | None:
    """The SHA-256 of the whole content in hex. None if the store has only one made of the parts' checksums."""
    text = answer.get("ChecksumSHA256")
    if not text or "-" in text:
        return None
    return base64.b64decode(text).hex()


def version_of(answer: Mapping[str, Any]) -> str | None:
    version = answer.get("VersionId")
    return None if version in (None, "", "null") else str(version)


def _retention(answer: Mapping[str, Any]) -> Retention | None:
    mode, until = answer.get("ObjectLockMode"), answer.get("ObjectLockRetainUntilDate")
    if not mode or until is None:
        return None
    return Retention("compliance" if mode == "COMPLIANCE" else "governance", until.astimezone(UTC))
