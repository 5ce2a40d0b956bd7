"""One multipart upload: parts sent side by side, each tried again, the whole completed once or aborted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from threading import Event
from typing import TYPE_CHECKING, Any

from strongroom.storage.errors import StoreUnavailableError
from strongroom.storage.retrying import RetryPolicy, resend, retry
from strongroom.storage.s3_errors import NoSuchUploadError, s3_faults
from strongroom.storage.s3_parts import Part, PartCutter, parallel_parts

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


class MultipartUpload:
    """An upload that has been begun.

    Args:
        client: the S3 client.
        where: `Bucket` and `Key`.
        policy: how long each request is tried again.
        options: metadata and retention of the object.
    """

    def __init__(
        self, client: S3Client, where: Mapping[str, str], policy: RetryPolicy, options: Mapping[str, Any]
    ) -> None:
        self._client, self._policy = client, policy
        self._where: dict[str, Any] = dict(where)
        self._failed = Event()
        self._etags: dict[int, dict[str, Any]] = {}

        def begin() -> str:
            with s3_faults(where["Key"]):
                return client.create_multipart_upload(**self._where, **options, ChecksumAlgorithm="SHA256")[
                    "UploadId"
                ]

        self._upload = {**self._where, "UploadId": retry(policy, begin)}

    def send(self, parts: Iterator[Part], cutter: PartCutter) -> None:
        """Send the parts, a few at a time; none is on its way any more when this returns or raises."""
        on_way: dict[Future[None], Part] = {}
        with ThreadPoolExecutor(thread_name_prefix="s3-part") as threads:
            try:
                for part in parts:
                    on_way[threads.submit(self._send_part, part)] = part
                    while len(on_way) >= parallel_parts(part.number):
                        self._collect(on_way, cutter)
                while on_way:
                    self._collect(on_way, cutter)
            except BaseException:
                self._failed.set()
                threads.shutdown(cancel_futures=True)
                raise

    def _collect(self, on_way: dict[Future[None], Part], cutter: PartCutter) -> None:
        """Wait for the next part to arrive."""
        done, _ = wait(on_way, return_when=FIRST_COMPLETED)
        for future in done:
            part = on_way.pop(future)
            future.result()
            cutter.give_back(part)

    def _send_part(self, part: Part) -> None:
        self._etags[part.number] = resend(
            lambda: retry(self._policy, lambda: self._try_part(part), given_up=self._failed)
        )

    def _try_part(self, part: Part) -> dict[str, Any]:
        with s3_faults(self._where["Key"]):
            answer = self._client.upload_part(
                **self._upload, PartNumber=part.number, Body=part.body(), ChecksumSHA256=part.checksum
            )
        return {"PartNumber": part.number, "ETag": answer["ETag"], "ChecksumSHA256": part.checksum}

    def complete(self, condition: Mapping[str, Any]) -> dict[str, Any]:
        """Make the object of the parts, in one step, if the condition holds.

        Raises:
            PreconditionFailedError: it does not.
            NoSuchUploadError: the upload is closed; perhaps by an earlier try whose answer was lost.
        """
        parts: Any = [self._etags[number] for number in sorted(self._etags)]

        def complete() -> dict[str, Any]:
            with s3_faults(self._where["Key"]):
                answer = self._client.complete_multipart_upload(
                    **self._upload, **condition, MultipartUpload={"Parts": parts}
                )
            return dict(answer)

        return retry(self._policy, complete)

    def abort(self, window_seconds: float = 5.0) -> None:
        """Remove the parts, as far as the server can be reached: what stays, `abort_incomplete_uploads` finds."""

        def abort() -> None:
            with s3_faults(self._where["Key"]):
                self._client.abort_multipart_upload(**self._upload)

        try:
            retry(RetryPolicy(window_seconds), abort)
        except (NoSuchUploadError, StoreUnavailableError):
            return
