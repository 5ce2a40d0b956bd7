"""What can be wrong with a sealed file or a key.

IntegrityError
├── NotAgeFileError            the first line is not that of an age file
├── HeaderError                the header does not keep to the format
│   └── TruncatedHeaderError   … because the file ends inside it (a TruncatedError too)
├── HeaderMacError             the header was altered
├── WrongKeyError              none of the identities is one of the recipients
├── ContextMismatchError       sealed under another name than the one it was asked for by
├── TruncatedError             the file ends before its last chunk
├── ChunkError                 a chunk was altered
│   ├── ReorderedError         a chunk of this file stands in another one's place
│   └── DamagedEndError        the end was altered or cut: no key can tell (a TruncatedError too)
├── TrailingDataError          something follows the last chunk
├── DecompressionError         what was sealed is not the Zstandard data it should be
├── KeyUnwrapError             a wrapped private key does not open with this provider
├── RewrapRecordError          a record of a rewrapped object is not what was written
└── KeyRecordError             a record of the key ring is not what was written
ConfigurationError
├── KeyFileError               a key file is missing, open to others, or holds no key
└── KeyTextError               a recipient or identity is misspelt
NotFoundError
└── EpochNotFoundError
RefusedError
├── EpochExpiredError          the only epoch there is may not seal any more
└── KeyServiceDeniedError      the key service refuses this account
TransientError
└── KeyServiceUnavailableError
"""

from __future__ import annotations

from strongroom.errors import (
    AccessDeniedError,
    ConfigurationError,
    IntegrityError,
    NotFoundError,
    RefusedError,
    TransientError,
)


class NotAgeFileError(IntegrityError):
    """The data does not start like an age v1 file."""


class HeaderError(IntegrityError):
    """The header does not keep to the format."""


class HeaderMacError(IntegrityError):
    """The header was altered after it was written."""


class WrongKeyError(IntegrityError):
    """None of the identities is one of the file's recipients."""


class ContextMismatchError(IntegrityError):
    """The file was sealed for another place: another key, kind or format."""


class TruncatedError(IntegrityError):
    """The file ends before its last chunk."""


class TruncatedHeaderError(HeaderError, TruncatedError):
    """The file ends inside its header."""


class ChunkError(IntegrityError):
    """A chunk was altered."""


class ReorderedError(ChunkError):
    """A chunk of this file stands in the place of another: reordered, repeated or left out."""


class DamagedEndError(ChunkError, TruncatedError):
    """The last, shorter chunk does not verify: altered, or cut inside. The format cannot tell which."""


class TrailingDataError(IntegrityError):
    """Something follows the last chunk."""


class DecompressionError(IntegrityError):
    """What was sealed is not the complete Zstandard data it should be."""


class KeyUnwrapError(IntegrityError):
    """A wrapped private key does not open with this provider and context."""


class KeyRecordError(IntegrityError):
    """A record of the key ring is not what was written."""


class KeyFileError(ConfigurationError):
    """A key file is missing, open to others, needs a passphrase, or holds no key."""


class KeyTextError(ConfigurationError):
    """A recipient or an identity is misspelt or of an unknown kind."""


class EpochNotFoundError(NotFoundError):
    """The key ring has no such epoch."""


class EpochExpiredError(RefusedError):
    """Every epoch of the purpose is past its end, so none may seal."""


class KeyServiceDeniedError(AccessDeniedError):
    """The key service refuses this account or has disabled the key."""


class KeyServiceUnavailableError(TransientError):
    """The key service did not answer."""
