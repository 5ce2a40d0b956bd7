"""Writing one S3 object: at once if it is small, in parts if it is not, and exactly once in either case.

When the answer to a write is lost, the write is tried again, and the second try finds the key taken: by the first.
Each write therefore carries a random token in the object's metadata, by which it recognises its own object.

Not every server checks the condition of a completed upload and stores it in one step: of two that end in the same
millisecond, SeaweedFS 4.48 accepts both about every second time. Where versions are kept, the older one has won.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from itertools import chain
from types import MappingProxyType
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from strongroom.storage.errors import (
    ObjectExistsError,
    ObjectNotFoundError,
    PreconditionFailedError,
    StoreError,
    StoreUnavailableError,
)
from strongroom.storage.interface import Buffer, Condition, ObjectInfo, Retention
from strongroom.storage.retrying import RetryPolicy, resend, retry
from strongroom.storage.s3_errors import NoSuchUploadError, s3_faults
from strongroom.storage.s3_pages import deletion_pages, version_pages
from strongroom.storage.s3_parts import Part, PartCutter
from strongroom.storage.s3_upload import MultipartUpload
from strongroom.storage.s3_values import (
    TOKEN,
    condition_arguments,
    info_of_head,
    info_of_put,
    retention_arguments,
    version_of,
)

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_AMBIGUOUS = (PreconditionFailedError, NoSuchUploadError, StoreUnavailableError)


class S3Writer:
    """Writes one object.

    Args:
        client: the S3 client.
        bucket: the bucket.
        full_key: the key with the store's prefix.
        key: the key as the caller knows it.
        condition: when the write may happen.
        retention: until when the object is locked.
        policy: how long each request is tried again.
    """

    def __init__(
        self,
        client: S3Client,
        bucket: str,
        full_key: str,
        key: str,
        *,
        condition: Condition,
        retention: Retention | None,
        policy: RetryPolicy,
    ) -> None:
        self._client, self._key, self._policy, self._condition = client, key, policy, condition
        self._where: dict[str, Any] = {"Bucket": bucket, "Key": full_key}
        self._retention = retention
        self._token = uuid4().hex
        self._options = {"Metadata": {TOKEN: self._token}, **retention_arguments(retention)}

    def write(self, chunks: Iterable[Buffer]) -> ObjectInfo:
        """Write the stream; raises what `ObjectStore.put_stream` raises."""
        cutter = PartCutter(chunks)
        parts = iter(cutter)
        first = next(parts)
        second = next(parts, None)
        if second is None:
            return self._put(first, cutter)
        self._refuse_early()
        version = self._put_in_parts(chain((first, second), parts), cutter)
        if self._condition.kind == "if_absent" and version is not None:
            self._give_way(version)
            return self._written(cutter, {"VersionId": version})
        return self._written(cutter)

    def _refuse_early(self) -> None:
        """Send nothing when it is clear already that the key is taken."""
        if self._condition.kind == "if_absent":
            with suppress(ObjectNotFoundError):
                self._head()
                raise self._refused()

    def _put(self, part: Part, cutter: PartCutter) -> ObjectInfo:
        def put() -> dict[str, Any]:
            with s3_faults(self._key):
                answer = self._client.put_object(
                    **self._where,
                    **self._options,
                    **condition_arguments(self._condition),
                    Body=part.body(),
                    ChecksumSHA256=part.checksum,
                )
            return dict(answer)

        try:
            answer = resend(lambda: retry(self._policy, put))
        except _AMBIGUOUS as fault:
            self._settle(fault)
            return self._written(cutter)
        return info_of_put(self._key, answer, cutter.size_bytes, cutter.sha256, self._retention)

    def _put_in_parts(self, parts: Iterator[Part], cutter: PartCutter) -> str | None:
        """Send the parts and make the object of them; the version of it, if the server told it."""
        upload = MultipartUpload(self._client, self._where, self._policy, self._options)
        try:
            upload.send(parts, cutter)
            try:
                return version_of(upload.complete(condition_arguments(self._condition)))
            except _AMBIGUOUS as fault:
                self._settle(fault)
                return None
        except BaseException:
            upload.abort()
            raise

    def _give_way(self, version: str) -> None:
        """Take this writer's version back if somebody else created the object before it was completed.

        Raises:
            ObjectExistsError: somebody else did.
        """
        bucket, full_key = self._where["Bucket"], self._where["Key"]
        listed = list(version_pages(self._client, bucket, full_key, self._policy))
        versions = [entry["VersionId"] for entry in listed if entry["Key"] == full_key]
        if versions[-1] == version or self._was_deleted():
            return
        with s3_faults(self._key):
            self._client.delete_object(**self._where, VersionId=version)
        raise self._refused()

    def _was_deleted(self) -> bool:
        """Whether the older versions may be there because somebody deleted the object by name only."""
        bucket, full_key = self._where["Bucket"], self._where["Key"]
        markers = deletion_pages(self._client, bucket, full_key, self._policy)
        return any(marker["Key"] == full_key for marker in markers)

    def _settle(self, fault: StoreError) -> None:
        """Raise what a refused write means, unless the object that is there is this writer's own."""
        with suppress(ObjectNotFoundError, StoreUnavailableError):
            if self._head(window_seconds=0.0)["Metadata"].get(TOKEN) == self._token:
                return
        if isinstance(fault, PreconditionFailedError):
            raise self._refused() from fault
        raise fault

    def _refused(self) -> StoreError:
        if self._condition.kind == "if_absent":
            return ObjectExistsError(
                f"there is an object {self._key!r} already", hint="Objects are written once; use a new key."
            )
        return PreconditionFailedError(
            f"{self._key!r} was changed by somebody else in between", hint="Read it again, then decide again."
        )

    def _written(self, cutter: PartCutter, version: Mapping[str, Any] = MappingProxyType({})) -> ObjectInfo:
        """What the store says of the object now, with the checksum of what was sent.

        Raises:
            StoreError: the store has something else than it confirmed.
        """
        answer = self._head(version)
        info = info_of_head(self._key, answer)
        if answer["Metadata"].get(TOKEN) != self._token:
            if self._condition.kind == "if_absent":
                raise self._refused()
            raise PreconditionFailedError(
                f"{self._key!r} was overwritten by somebody else at once",
                hint="Read it again, then decide again.",
            )
        if info.size_bytes != cutter.size_bytes:
            raise StoreError(
                f"the store has {info.size_bytes} bytes of {self._key!r}, but {cutter.size_bytes} were sent"
            )
        return ObjectInfo(**{**vars(info), "sha256": cutter.sha256})

    def _head(
        self, version: Mapping[str, Any] = MappingProxyType({}), *, window_seconds: float | None = None
    ) -> dict[str, Any]:
        policy = self._policy if window_seconds is None else RetryPolicy(window_seconds)

        def head() -> dict[str, Any]:
            with s3_faults(self._key):
                return dict(self._client.head_object(**self._where, **version, ChecksumMode="ENABLED"))

        return retry(policy, head)
