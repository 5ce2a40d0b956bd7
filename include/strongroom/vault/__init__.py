"""The narrow waist: sealed in, authorised out, and every time recorded."""

from strongroom.vault.errors import (
    NoPrivateKeyError,
    ObjectKeyError,
    ObjectReplacedError,
    UnknownObjectError,
)
from strongroom.vault.interface import (
    Content,
    ObjectReader,
    OpenedObject,
    StoredObject,
    Vault,
    object_context,
)
from strongroom.vault.reading import accepted_forms
from strongroom.vault.service import SealedVault, VaultParts

__all__ = [
    "Content",
    "NoPrivateKeyError",
    "ObjectKeyError",
    "ObjectReader",
    "ObjectReplacedError",
    "OpenedObject",
    "SealedVault",
    "StoredObject",
    "UnknownObjectError",
    "Vault",
    "VaultParts",
    "accepted_forms",
    "object_context",
]
