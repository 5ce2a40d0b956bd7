"""What the answers of an S3 server and the failures of its client mean, as the store's own exceptions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from strongroom.storage.errors import (
    BucketNotFoundError,
    ChecksumMismatchError,
    ObjectNotFoundError,
    PreconditionFailedError,
    StoreDeniedError,
    StoreError,
    StoreUnavailableError,
    UnsupportedError,
)

if TYPE_CHECKING:
    from botocore.exceptions import BotoCoreError, ClientError

_UNAVAILABLE = frozenset(
    {"ConditionalRequestConflict", "OperationAborted", "RequestTimeout", "RequestTimeTooSkewed", "SlowDown"}
    | {"Throttling", "ThrottlingException", "TooManyRequests", "InternalError", "ServiceUnavailable"}
)
_MISSING = frozenset({"NoSuchKey", "NoSuchVersion", "NotFound", "404", "405", "MethodNotAllowed"})
_DIGEST = frozenset(
    {"BadDigest", "InvalidDigest", "XAmzContentSHA256Mismatch", "XAmzContentChecksumMismatch"}
)


class NoSuchUploadError(StoreError):
    """The multipart upload is not open: completed, aborted, or never begun."""


@contextmanager
def s3_faults(what: str) -> Iterator[None]:
    """Turn what the S3 client raises into the store's own exceptions.

    Args:
        what: the thing concerned, as it appears in the message: an object's key or the bucket.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except ClientError as fault:
        raise of_answer(fault, what) from fault
    except BotoCoreError as fault:
        raise of_client(fault, what) from fault
    except OSError as fault:
        raise StoreUnavailableError(
            f"the connection to the S3 server failed at {what!r}: {fault.strerror or type(fault).__name__}"
        ) from fault


def of_answer(fault: ClientError, what: str) -> StoreError:
    """What an S3 server's error answer means."""
    code = str(fault.response.get("Error", {}).get("Code", ""))
    status = int(fault.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    if code in _UNAVAILABLE or (status >= 500 and status != 501):
        return StoreUnavailableError(
            f"the S3 server cannot serve {what!r} now: {code or status}", hint="Try again in a while."
        )
    if code == "NoSuchUpload":
        return NoSuchUploadError(f"the upload of {what!r} is not open")
    if code == "NoSuchBucket":
        return BucketNotFoundError(
            f"the bucket of {what!r} does not exist", hint="Make it with Object Lock, or correct the setting."
        )
    if code in _MISSING or status == 404:
        return ObjectNotFoundError(f"there is no object {what!r}", hint="List the store to see what it has.")
    return _of_refusal(code, status, what)


def _of_refusal(code: str, status: int, what: str) -> StoreError:
    if code in _DIGEST:
        return ChecksumMismatchError(f"what arrived of {what!r} is not what was sent")
    if status == 412:
        return PreconditionFailedError(
            f"{what!r} was changed by somebody else in between", hint="Read it again, then decide again."
        )
    if status in (401, 403):
        return StoreDeniedError(
            f"the S3 server does not permit this on {what!r}: {code}",
            hint="Check the access key, and what its policy permits.",
        )
    if status == 501 or code == "NotImplemented":
        return UnsupportedError(f"the S3 server cannot do this with {what!r}")
    return StoreError(f"the S3 server refused a request on {what!r}: {code or status}")


def of_client(fault: BotoCoreError, what: str) -> StoreError:
    """What a failure of the S3 client itself means."""
    from botocore import exceptions

    lost = (
        exceptions.HTTPClientError,
        exceptions.ConnectionError,
        exceptions.IncompleteReadError,
    )
    if isinstance(fault, exceptions.FlexibleChecksumError):
        return ChecksumMismatchError(
            f"the content of {what!r} is not what was written", hint="Use another copy or another version."
        )
    if isinstance(fault, lost):
        return StoreUnavailableError(
            f"the S3 server did not answer about {what!r}: {type(fault).__name__}",
            hint="Is it running, and can this machine reach it?",
        )
    if isinstance(fault, exceptions.NoCredentialsError | exceptions.PartialCredentialsError):
        return StoreDeniedError(
            f"there are no credentials for the S3 server of {what!r}",
            hint="Set the access key and secret key.",
        )
    return StoreError(f"the S3 client failed at {what!r}: {type(fault).__name__}")
