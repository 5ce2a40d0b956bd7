"""The S3 client that a store uses when nobody passes one in."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


def s3_client(
    *, endpoint_url: str | None, region: str | None, access_key: str | None, secret_key: str | None
) -> S3Client:
    """An S3 client with time limits, and with no retries of its own: the store does those.

    Args:
        endpoint_url: of the S3 server; None for AWS.
        region: the bucket's region.
        access_key: None to find credentials the way every AWS program does.
        secret_key: belongs to `access_key`.
    """
    import boto3
    from botocore.config import Config

    config = Config(
        connect_timeout=10,
        read_timeout=60,
        retries={"total_max_attempts": 1, "mode": "standard"},
        max_pool_connections=16,
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        s3={"addressing_style": "path" if endpoint_url else "auto"},
    )
    return boto3.client(
        "s3",
        endpoint_url=endpoint_url,
        region_name=region,
        aws_access_key_id=access_key,
        aws_secret_access_key=secret_key,
        config=config,
    )
