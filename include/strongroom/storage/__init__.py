"""Object stores: S3 and a local directory behind one interface."""

from strongroom.storage.clients import s3_client
from strongroom.storage.errors import (
    BucketNotFoundError,
    ChecksumMismatchError,
    InvalidKeyError,
    ObjectExistsError,
    ObjectLockedError,
    ObjectNotFoundError,
    PreconditionFailedError,
    StoreDeniedError,
    StoreError,
    StoreUnavailableError,
    UnsupportedError,
)
from strongroom.storage.fallback import Expected, FallbackStore, FallbackUse, NamedStore
from strongroom.storage.interface import (
    Buffer,
    Condition,
    ObjectInfo,
    ObjectStore,
    Retention,
    StoreCapabilities,
)
from strongroom.storage.local import LocalObjectStore
from strongroom.storage.retrying import RetryPolicy
from strongroom.storage.s3 import S3ObjectStore

__all__ = [
    "BucketNotFoundError",
    "Buffer",
    "ChecksumMismatchError",
    "Condition",
    "Expected",
    "FallbackStore",
    "FallbackUse",
    "InvalidKeyError",
    "LocalObjectStore",
    "NamedStore",
    "ObjectExistsError",
    "ObjectInfo",
    "ObjectLockedError",
    "ObjectNotFoundError",
    "ObjectStore",
    "PreconditionFailedError",
    "Retention",
    "RetryPolicy",
    "S3ObjectStore",
    "StoreCapabilities",
    "StoreDeniedError",
    "StoreError",
    "StoreUnavailableError",
    "UnsupportedError",
    "s3_client",
]
