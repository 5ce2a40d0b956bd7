"""What a store can answer instead of doing what was asked.

    StrongroomError
    ├── StoreError                        anything else a store said
    ├── InvalidKeyError                   InputError
    ├── UnsupportedError                  ConfigurationError
    ├── BucketNotFoundError               ConfigurationError
    ├── ChecksumMismatchError             IntegrityError
    ├── ObjectNotFoundError               NotFoundError
    ├── ObjectExistsError                 RefusedError
    ├── PreconditionFailedError           RefusedError
    ├── ObjectLockedError                 RefusedError
    ├── StoreDeniedError                  AccessDeniedError
    └── StoreUnavailableError             TransientError

All of them are `StoreError`s too, so one `except` catches whatever a store can say.
"""

from __future__ import annotations

from strongroom.errors import (
    AccessDeniedError,
    ConfigurationError,
    InputError,
    IntegrityError,
    NotFoundError,
    RefusedError,
    StrongroomError,
    TransientError,
)


class StoreError(StrongroomError):
    """The object store could not do what was asked."""


class InvalidKeyError(StoreError, InputError):
    """The key cannot name an object: empty, absolute, with `..`, too long, or not printable ASCII."""


class UnsupportedError(StoreError, ConfigurationError):
    """The store has no such feature (retention, legal hold, versions)."""


class BucketNotFoundError(StoreError, ConfigurationError):
    """The bucket or directory that the settings name does not exist."""


class ChecksumMismatchError(StoreError, IntegrityError):
    """What was read, or what arrived, is not what was written."""


class ObjectNotFoundError(StoreError, NotFoundError):
    """No object, or no such version of it, has this key."""


class ObjectExistsError(StoreError, RefusedError):
    """The object was to be created, and there is one already."""


class PreconditionFailedError(StoreError, RefusedError):
    """The object is no longer the one that the caller read: somebody else changed it in between."""


class ObjectLockedError(StoreError, RefusedError):
    """The object's retention or legal hold forbids this."""


class StoreDeniedError(StoreError, AccessDeniedError):
    """The store does not accept the credentials, or they do not permit this."""


class StoreUnavailableError(StoreError, TransientError):
    """The store did not answer, or answered that it cannot now."""
