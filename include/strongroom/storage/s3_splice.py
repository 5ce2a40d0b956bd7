"""Giving a large S3 object another beginning: the server copies the rest by itself.

    part 1         the new beginning and the next 5 MiB, sent
    parts 2 …      ranges of the object as it is, copied by the server (UploadPartCopy), 1 GiB each

S3 wants 5 MiB of every part but the last, and copies at most 5 GiB at a time.
Source: https://docs.aws.amazon.com/AmazonS3/latest/API/API_UploadPartCopy.html
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from strongroom.storage.errors import PreconditionFailedError, StoreUnavailableError
from strongroom.storage.interface import Condition, ObjectInfo, Retention
from strongroom.storage.retrying import RetryPolicy, retry
from strongroom.storage.s3_errors import NoSuchUploadError, s3_faults
from strongroom.storage.s3_values import condition_arguments, retention_arguments, version_of

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

Result = TypeVar("Result")
SMALLEST_PART_BYTES = 5 << 20
_COPIED_PART_BYTES = 1 << 30
_ABORT_WINDOW_SECONDS = 5.0


class Splice:
    """One object that gets another beginning.

    Args:
        client: the S3 client.
        where: `Bucket` and `Key`.
        policy: how long each request is tried again.
        full_key: the key, for errors.
    """

    def __init__(
        self, client: S3Client, where: Mapping[str, Any], policy: RetryPolicy, full_key: str
    ) -> None:
        self._client, self._where, self._policy = client, dict(where), policy
        self._full_key = full_key

    def write(
        self, first: bytes, rest_from_byte: int, info: ObjectInfo, *, etag: str, retention: Retention | None
    ) -> str | None:
        """Write the object anew; its version, where the bucket has versions.

        Args:
            first: the first part.
            rest_from_byte: from where the object as it is follows.
            info: the object as it is.
            etag: what it must still have when the new one takes its place.
            retention: the new object's lock.

        Raises:
            PreconditionFailedError: it is another one by now.
        """
        if info.etag != etag:
            raise _changed(info.key)
        options = retention_arguments(retention)
        upload_id = self._try(
            lambda: self._client.create_multipart_upload(**self._where, **options)["UploadId"]
        )
        upload = {**self._where, "UploadId": upload_id}
        try:
            parts = [self._send(upload, first), *self._copies(upload, rest_from_byte, info)]
            return self._complete(upload, parts, etag, info)
        except BaseException:
            self._abort(upload)
            raise

    def _send(self, upload: Mapping[str, Any], first: bytes) -> dict[str, Any]:
        answer = self._try(lambda: self._client.upload_part(**upload, PartNumber=1, Body=first))
        return {"PartNumber": 1, "ETag": answer["ETag"]}

    def _copies(self, upload: Mapping[str, Any], start: int, info: ObjectInfo) -> list[dict[str, Any]]:
        source: Any = {"Bucket": self._where["Bucket"], "Key": self._where["Key"]}
        if info.version_id is not None:
            source["VersionId"] = info.version_id
        parts = []
        for number, begin in enumerate(range(start, info.size_bytes, _COPIED_PART_BYTES), start=2):
            last = min(begin + _COPIED_PART_BYTES, info.size_bytes) - 1
            parts.append(self._copy(upload, number, source, f"bytes={begin}-{last}", info.etag))
        return parts

    def _copy(
        self, upload: Mapping[str, Any], number: int, source: Any, part: str, etag: str
    ) -> dict[str, Any]:
        answer = self._try(
            lambda: self._client.upload_part_copy(
                **upload,
                PartNumber=number,
                CopySource=source,
                CopySourceRange=part,
                CopySourceIfMatch=f'"{etag}"',
            )
        )
        return {"PartNumber": number, "ETag": answer["CopyPartResult"]["ETag"]}

    def _complete(
        self, upload: Mapping[str, Any], parts: list[dict[str, Any]], etag: str, info: ObjectInfo
    ) -> str | None:
        condition = condition_arguments(Condition.if_match(etag))

        def complete() -> dict[str, Any]:
            answer = self._client.complete_multipart_upload(
                **upload,
                **condition,
                MultipartUpload={"Parts": parts},  # type: ignore[typeddict-item]
            )
            return dict(answer)

        try:
            return version_of(self._try(complete))
        except NoSuchUploadError as error:  # an earlier try may have completed it, and its answer was lost
            raise _changed(info.key) from error

    def _abort(self, upload: Mapping[str, Any]) -> None:
        try:
            retry(
                RetryPolicy(_ABORT_WINDOW_SECONDS),
                lambda: self._once(lambda: self._client.abort_multipart_upload(**upload)),
            )
        except (NoSuchUploadError, StoreUnavailableError):
            return

    def _try(self, call: Callable[[], Result]) -> Result:
        return retry(self._policy, lambda: self._once(call))

    def _once(self, call: Callable[[], Result]) -> Result:
        with s3_faults(self._full_key):
            return call()


def _changed(key: str) -> PreconditionFailedError:
    return PreconditionFailedError(
        f"{key!r} was changed by somebody else in between", hint="Run it again: it begins with what is there."
    )
