"""A store in an S3 bucket: AWS, SeaweedFS, or any server that honours conditional writes."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar

from strongroom.storage.errors import (
    ChecksumMismatchError,
    InvalidKeyError,
    ObjectLockedError,
    ObjectNotFoundError,
    StoreDeniedError,
    StoreError,
    StoreUnavailableError,
    UnsupportedError,
)
from strongroom.storage.interface import (
    DEFAULT_MAX_BYTES,
    Buffer,
    Condition,
    ObjectInfo,
    ObjectStore,
    Retention,
    StoreCapabilities,
)
from strongroom.storage.keys import HIDDEN, check_key, check_prefix
from strongroom.storage.retrying import RetryPolicy, retry
from strongroom.storage.s3_errors import NoSuchUploadError, s3_faults
from strongroom.storage.s3_pages import object_pages, upload_pages, version_pages
from strongroom.storage.s3_reader import ResumingReader
from strongroom.storage.s3_splice import SMALLEST_PART_BYTES, Splice
from strongroom.storage.s3_values import info_of_head, info_of_listing, whole_sha256
from strongroom.storage.s3_writer import S3Writer

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

Result = TypeVar("Result")
_READ_AHEAD_BYTES = 256 * 1024


class S3ObjectStore(ObjectStore):
    """Objects in a bucket, below a prefix.

    Args:
        client: a boto3 S3 client; it must be safe to use from several threads, as boto3's are.
        bucket: the bucket's name.
        prefix: what every key starts with, without the slash that ends it; may be empty.
        retry_policy: how long a request is tried again while the server is not available.
    """

    def __init__(
        self, client: S3Client, bucket: str, prefix: str = "", *, retry_policy: RetryPolicy | None = None
    ) -> None:
        clean = prefix.strip("/")
        if clean:
            check_key(clean)
        self._client, self._bucket = client, bucket
        self._prefix = f"{clean}/" if clean else ""
        self._policy = retry_policy or RetryPolicy()
        self.url = f"s3://{bucket}/{clean}".rstrip("/")

    def capabilities(self) -> StoreCapabilities:
        return StoreCapabilities(
            versioning=self._versioning, object_lock=self._object_lock, conditional_writes=self._conditional
        )

    def put_stream(
        self,
        key: str,
        chunks: Iterable[Buffer],
        *,
        condition: Condition = Condition.IF_ABSENT,
        retention: Retention | None = None,
    ) -> ObjectInfo:
        full_key = self._full(key)
        if retention is not None:
            self._require_object_lock()
        writer = S3Writer(
            self._client,
            self._bucket,
            full_key,
            key,
            condition=condition,
            retention=retention,
            policy=self._policy,
        )
        return writer.write(chunks)

    def put_bytes(
        self,
        key: str,
        data: bytes,
        *,
        condition: Condition = Condition.IF_ABSENT,
        retention: Retention | None = None,
    ) -> ObjectInfo:
        return self.put_stream(key, [data], condition=condition, retention=retention)

    def open_range(
        self, key: str, start_byte: int = 0, length_bytes: int | None = None, *, version_id: str | None = None
    ) -> BinaryIO:
        info = self.head(key, version_id=version_id)
        start = min(start_byte, info.size_bytes)
        end = info.size_bytes if length_bytes is None else min(start + length_bytes, info.size_bytes)
        whole = start == 0 and end == info.size_bytes
        reader = ResumingReader(
            self._client,
            self._where(key, info.version_id),
            etag=f'"{info.etag}"',
            start_byte=start,
            end_byte=end,
            sha256=info.sha256 if whole else None,
            policy=self._policy,
        )
        return io.BufferedReader(reader, _READ_AHEAD_BYTES)

    def get_bytes(
        self, key: str, *, max_bytes: int = DEFAULT_MAX_BYTES, version_id: str | None = None
    ) -> bytes:
        where = self._where(key, version_id)

        def get() -> bytes:
            answer = self._client.get_object(**where, ChecksumMode="ENABLED")
            with answer["Body"]:
                size = int(answer["ContentLength"])
                if size > max_bytes:
                    raise StoreError(
                        f"{key!r} has {size} bytes, more than the {max_bytes} that may be read at once"
                    )
                data = answer["Body"].read()
            if len(data) != size:
                raise StoreUnavailableError(f"the connection ended in the middle of {key!r}")
            return _checked(key, data, whole_sha256(answer))

        return self._try(key, get)

    def head(self, key: str, *, version_id: str | None = None) -> ObjectInfo:
        where = self._where(key, version_id)
        return info_of_head(
            key, self._try(key, lambda: self._client.head_object(**where, ChecksumMode="ENABLED"))
        )

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        return self._infos(object_pages, prefix)

    def list_versions(self, prefix: str) -> Iterator[ObjectInfo]:
        return self._infos(version_pages, prefix)

    def replace_start(
        self,
        key: str,
        start: bytes,
        keep_from_byte: int,
        *,
        etag: str,
        retention: Retention | None = None,
    ) -> ObjectInfo:
        info = self.head(key)
        if info.size_bytes - keep_from_byte < 2 * SMALLEST_PART_BYTES:
            return super().replace_start(key, start, keep_from_byte, etag=etag, retention=retention)
        if retention is not None:
            self._require_object_lock()
        with self.open_range(key, keep_from_byte, SMALLEST_PART_BYTES, version_id=info.version_id) as stream:
            first = start + stream.read()
        splice = Splice(self._client, self._where(key, None), self._policy, self._full(key))
        version_id = splice.write(
            first, keep_from_byte + SMALLEST_PART_BYTES, info, etag=etag, retention=retention
        )
        return self.head(key, version_id=version_id)

    def _infos(self, pages: Callable[..., Iterator[Mapping[str, Any]]], prefix: str) -> Iterator[ObjectInfo]:
        full_prefix = self._prefix + check_prefix(prefix)
        for entry in pages(self._client, self._bucket, full_prefix, self._policy):
            yield info_of_listing(entry["Key"].removeprefix(self._prefix), entry)

    def delete_version(self, key: str, version_id: str | None) -> None:
        try:
            current = version_id or self.head(key).version_id
        except ObjectNotFoundError:
            return
        where = self._where(key, current)
        try:
            self._try(key, lambda: self._client.delete_object(**where))
        except ObjectNotFoundError:
            return
        except StoreDeniedError as fault:
            self._raise_if_locked(key, current, fault)
            raise

    def _raise_if_locked(self, key: str, version_id: str | None, fault: StoreError) -> None:
        """S3 says "access denied" for a lock too: tell the two apart."""
        info = self.head(key, version_id=version_id)
        if info.legal_hold:
            raise ObjectLockedError(
                f"{key!r} is under legal hold", hint="Only who set the hold releases it."
            ) from fault
        if info.retention is not None:
            raise ObjectLockedError(
                f"{key!r} is locked until {info.retention.until:%Y-%m-%d %H:%M} UTC",
                hint="Nobody can delete it before that.",
            ) from fault

    def abort_incomplete_uploads(self, prefix: str) -> int:
        count = 0
        full_prefix = self._prefix + check_prefix(prefix)
        for entry in [*upload_pages(self._client, self._bucket, full_prefix, self._policy)]:
            self._abort(entry["Key"], entry["UploadId"])
            count += 1
        return count

    def _abort(self, full_key: str, upload_id: str) -> None:
        where: dict[str, Any] = {"Bucket": self._bucket, "Key": full_key, "UploadId": upload_id}
        try:
            self._try(full_key, lambda: self._client.abort_multipart_upload(**where))
        except NoSuchUploadError:
            return

    def set_hold(self, key: str, held: bool, *, version_id: str | None = None) -> None:
        where = self._where(key, version_id)
        self._require_object_lock()
        self._try(
            key,
            lambda: self._client.put_object_legal_hold(
                **where, LegalHold={"Status": "ON" if held else "OFF"}
            ),
        )

    def extend_retention(self, key: str, retention: Retention, *, version_id: str | None = None) -> None:
        self._require_object_lock()
        info = self.head(key, version_id=version_id)
        has = info.retention
        weaker = has is not None and has.mode == "compliance" and retention.mode != "compliance"
        if has is not None and (weaker or retention.until < has.until):
            raise ObjectLockedError(
                f"{key!r} is locked in {has.mode} mode until {has.until:%Y-%m-%d %H:%M} UTC",
                hint="A lock can be made longer and stronger only.",
            )
        where = self._where(key, info.version_id)
        lock: Any = {"Mode": retention.mode.upper(), "RetainUntilDate": retention.until}
        self._try(key, lambda: self._client.put_object_retention(**where, Retention=lock))

    @cached_property
    def _versioning(self) -> bool:
        answer = self._try(self.url, lambda: self._client.get_bucket_versioning(Bucket=self._bucket))
        return answer.get("Status") == "Enabled"

    @cached_property
    def _object_lock(self) -> bool:
        try:
            answer = self._try(
                self.url, lambda: self._client.get_object_lock_configuration(Bucket=self._bucket)
            )
        except (ObjectNotFoundError, UnsupportedError):
            return False
        return answer["ObjectLockConfiguration"].get("ObjectLockEnabled") == "Enabled"

    @cached_property
    def _conditional(self) -> bool:
        """Whether a write whose condition cannot hold is refused; one that is not is undone."""
        where: dict[str, Any] = {"Bucket": self._bucket, "Key": f"{self._prefix}{HIDDEN}/condition"}
        try:
            answer = self._try(
                self.url, lambda: self._client.put_object(**where, Body=b"", IfMatch='"no such content"')
            )
        except StoreUnavailableError:
            raise
        except StoreError:
            return True
        if answer.get("VersionId"):
            where["VersionId"] = answer["VersionId"]
        self._try(self.url, lambda: self._client.delete_object(**where))
        return False

    def _require_object_lock(self) -> None:
        if not self._object_lock:
            raise UnsupportedError(
                f"the bucket {self._bucket} has no Object Lock",
                hint="Make a bucket with Object Lock, or drop the lock from the policy.",
            )

    def _full(self, key: str) -> str:
        full_key = self._prefix + check_key(key)
        if len(full_key.encode()) > 1024:
            raise InvalidKeyError(f"{key[:100]!r} is too long below the prefix {self._prefix!r}")
        return full_key

    def _where(self, key: str, version_id: str | None) -> dict[str, Any]:
        where = {"Bucket": self._bucket, "Key": self._full(key)}
        return where if version_id is None else {**where, "VersionId": version_id}

    def _try(self, what: str, call: Callable[[], Result]) -> Result:
        """The answer to a request, tried again while the server is not available."""

        def once() -> Result:
            with s3_faults(what):
                return call()

        return retry(self._policy, once)


def _checked(key: str, data: bytes, sha256: str | None) -> bytes:
    if sha256 is not None and hashlib.sha256(data).hexdigest() != sha256:
        raise ChecksumMismatchError(
            f"the content of {key!r} is not what was written", hint="Use another copy or another version."
        )
    return data
