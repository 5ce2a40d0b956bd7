"""Object stores: S3 and a local directory behind one interface."""

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
from strongroom.storage.interface import (
    Buffer,
    Condition,
    ObjectInfo,
    ObjectStore,
    Retention,
    StoreCapabilities,
)
from strongroom.storage.local import LocalObjectStore

__all__ = [
    "BucketNotFoundError",
    "Buffer",
    "ChecksumMismatchError",
    "Condition",
    "InvalidKeyError",
    "LocalObjectStore",
    "ObjectExistsError",
    "ObjectInfo",
    "ObjectLockedError",
    "ObjectNotFoundError",
    "ObjectStore",
    "PreconditionFailedError",
    "Retention",
    "StoreCapabilities",
    "StoreDeniedError",
    "StoreError",
    "StoreUnavailableError",
    "UnsupportedError",
]
