"""Sealing: age v1 encryption as streams, the keys for it, and who holds them."""

from strongroom.sealing.chunks import Buffer
from strongroom.sealing.context import UNCHECKED, Context, UncheckedContext
from strongroom.sealing.epochs import Epoch
from strongroom.sealing.errors import (
    ChunkError,
    ContextMismatchError,
    DamagedEndError,
    DecompressionError,
    EpochExpiredError,
    EpochNotFoundError,
    HeaderError,
    HeaderMacError,
    KeyFileError,
    KeyRecordError,
    KeyServiceDeniedError,
    KeyServiceUnavailableError,
    KeyTextError,
    KeyUnwrapError,
    NotAgeFileError,
    ReorderedError,
    TrailingDataError,
    TruncatedError,
    TruncatedHeaderError,
    WrongKeyError,
)
from strongroom.sealing.header import Header, Stanza, parse_header
from strongroom.sealing.keyring import KeyRing, read_epoch
from strongroom.sealing.keytext import parse_identities, parse_identity, parse_recipient
from strongroom.sealing.kms import KmsKeyProvider
from strongroom.sealing.passphrase import PassphraseIdentity, PassphraseRecipient
from strongroom.sealing.pipeline import OpeningPipeline, PipelineReport, SealingPipeline
from strongroom.sealing.providers import KeyProvider, LocalKeyProvider, WrappedKey
from strongroom.sealing.reader import FileRange, ObjectRange, RangeSource, SealedReader
from strongroom.sealing.recipients import Identity, Recipient
from strongroom.sealing.rewraps import Form, RewrapRecord, RewrapRecordError, Rewraps
from strongroom.sealing.stream import read_header, rewrap, seal, unseal
from strongroom.sealing.x25519 import X25519Identity, X25519Recipient
from strongroom.sealing.xwing import XWingIdentity, XWingRecipient

__all__ = [
    "UNCHECKED",
    "Buffer",
    "ChunkError",
    "Context",
    "ContextMismatchError",
    "DamagedEndError",
    "DecompressionError",
    "Epoch",
    "EpochExpiredError",
    "EpochNotFoundError",
    "FileRange",
    "Form",
    "Header",
    "HeaderError",
    "HeaderMacError",
    "Identity",
    "KeyFileError",
    "KeyProvider",
    "KeyRecordError",
    "KeyRing",
    "KeyServiceDeniedError",
    "KeyServiceUnavailableError",
    "KeyTextError",
    "KeyUnwrapError",
    "KmsKeyProvider",
    "LocalKeyProvider",
    "NotAgeFileError",
    "ObjectRange",
    "OpeningPipeline",
    "PassphraseIdentity",
    "PassphraseRecipient",
    "PipelineReport",
    "RangeSource",
    "Recipient",
    "ReorderedError",
    "RewrapRecord",
    "RewrapRecordError",
    "Rewraps",
    "SealedReader",
    "SealingPipeline",
    "Stanza",
    "TrailingDataError",
    "TruncatedError",
    "TruncatedHeaderError",
    "UncheckedContext",
    "WrappedKey",
    "WrongKeyError",
    "X25519Identity",
    "X25519Recipient",
    "XWingIdentity",
    "XWingRecipient",
    "parse_header",
    "parse_identities",
    "parse_identity",
    "parse_recipient",
    "read_epoch",
    "read_header",
    "rewrap",
    "seal",
    "unseal",
]
