"""Listings of an S3 bucket, page after page; one that breaks raises, and never ends early."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from strongroom.storage.errors import StoreError
from strongroom.storage.retrying import RetryPolicy, retry
from strongroom.storage.s3_errors import s3_faults

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_NEXT_VERSION = {"KeyMarker": "NextKeyMarker", "VersionIdMarker": "NextVersionIdMarker"}


def object_pages(
    client: S3Client, bucket: str, prefix: str, policy: RetryPolicy
) -> Iterator[Mapping[str, Any]]:
    """The current objects, sorted by key."""
    follow = {"ContinuationToken": "NextContinuationToken"}
    return _entries(client.list_objects_v2, bucket, prefix, policy, "Contents", follow)


def version_pages(
    client: S3Client, bucket: str, prefix: str, policy: RetryPolicy
) -> Iterator[Mapping[str, Any]]:
    """Every version, markers of deletion aside; of one key the newest first."""
    return _entries(client.list_object_versions, bucket, prefix, policy, "Versions", _NEXT_VERSION)


def deletion_pages(
    client: S3Client, bucket: str, prefix: str, policy: RetryPolicy
) -> Iterator[Mapping[str, Any]]:
    """The markers of deletion: what is left where an object was deleted by name only."""
    return _entries(client.list_object_versions, bucket, prefix, policy, "DeleteMarkers", _NEXT_VERSION)


def upload_pages(
    client: S3Client, bucket: str, prefix: str, policy: RetryPolicy
) -> Iterator[Mapping[str, Any]]:
    """The multipart uploads that are open."""
    follow = {"KeyMarker": "NextKeyMarker", "UploadIdMarker": "NextUploadIdMarker"}
    return _entries(client.list_multipart_uploads, bucket, prefix, policy, "Uploads", follow)


def _entries(
    request: Callable[..., Any],
    bucket: str,
    prefix: str,
    policy: RetryPolicy,
    member: str,
    follow: Mapping[str, str],
) -> Iterator[Mapping[str, Any]]:
    """The entries of all pages; `follow` names what a request takes from the answer before it."""
    position: dict[str, str] = {}
    while True:
        page = retry(policy, lambda at=dict(position): _page(request, bucket, prefix, at))  # type: ignore[misc]
        yield from page.get(member, [])
        if not page.get("IsTruncated"):
            return
        following = {name: page[source] for name, source in follow.items() if page.get(source)}
        if not following or following == position:
            raise StoreError(
                f"the listing of {bucket}/{prefix} broke off: the server says there is more, but not where",
                hint="Try again; if it stays, the server is at fault.",
            )
        position = following


def _page(
    request: Callable[..., Any], bucket: str, prefix: str, position: Mapping[str, str]
) -> Mapping[str, Any]:
    with s3_faults(bucket):
        answer: Mapping[str, Any] = request(Bucket=bucket, Prefix=prefix, **position)
    return answer
