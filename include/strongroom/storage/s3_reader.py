"""Reading an S3 object as a stream that survives lost connections."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from strongroom.storage.errors import ChecksumMismatchError, StoreUnavailableError
from strongroom.storage.retrying import RetryPolicy, retry
from strongroom.storage.s3_errors import s3_faults

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


class ResumingReader(io.RawIOBase):
    """Bytes from `start_byte` up to `end_byte` of one object.

    A connection that breaks is opened again at the byte reached, on condition that the object is still the same.

    Args:
        client: the S3 client.
        where: `Bucket`, `Key` and perhaps `VersionId`.
        etag: of the object; another one at a later connection is refused.
        start_byte: the first byte.
        end_byte: one behind the last.
        sha256: of exactly these bytes, in hex; compared when the end is reached. None if it is not known.
        policy: how long a broken connection is tried again.
    """

    def __init__(
        self,
        client: S3Client,
        where: Mapping[str, str],
        *,
        etag: str,
        start_byte: int,
        end_byte: int,
        sha256: str | None,
        policy: RetryPolicy,
    ) -> None:
        self._client, self._policy, self._etag = client, policy, etag
        self._where: dict[str, Any] = dict(where)
        self._position, self._end = start_byte, end_byte
        self._sha256, self._digest = sha256, hashlib.sha256()
        self._body: Any = None
        self._pauses: Iterator[float] | None = None

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # what io.BufferedReader passes
        view = memoryview(buffer).cast("B")[: self._end - self._position]
        if not view:
            self._check_end()
            return 0
        count = retry(self._policy, lambda: self._read_some(view))
        self._position += count
        if self._sha256 is not None:
            self._digest.update(view[:count])
        return count

    def _read_some(self, view: memoryview) -> int:
        """At least one byte, or the connection counts as broken and is given up."""
        try:
            body = self._connected()
            with s3_faults(self._where["Key"]):
                count = body.readinto(view)
            if count == 0:
                raise StoreUnavailableError(f"the connection ended in the middle of {self._where['Key']!r}")
        except StoreUnavailableError:
            self._disconnect()
            raise
        return int(count)

    def _connected(self) -> Any:
        if self._body is None:
            with s3_faults(self._where["Key"]):
                answer = self._client.get_object(
                    **self._where, Range=f"bytes={self._position}-{self._end - 1}", IfMatch=self._etag
                )
            self._body = answer["Body"]
        return self._body

    def _disconnect(self) -> None:
        if self._body is not None:
            self._body.close()
            self._body = None

    def _check_end(self) -> None:
        if self._sha256 is not None and self._digest.hexdigest() != self._sha256:
            raise ChecksumMismatchError(
                f"the content of {self._where['Key']!r} is not what was written",
                hint="Use another copy or another version.",
            )

    def close(self) -> None:
        self._disconnect()
        super().close()
