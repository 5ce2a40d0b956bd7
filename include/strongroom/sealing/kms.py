"""AWS KMS as a key provider: the epoch's private half is encrypted under a KMS key with an encryption context.

A backup makes no call; opening makes one for each epoch. The context stands in CloudTrail beside every use.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NoReturn

from strongroom.sealing.errors import KeyServiceDeniedError, KeyServiceUnavailableError, KeyUnwrapError
from strongroom.sealing.providers import KeyProvider, WrappedKey

if TYPE_CHECKING:
    from mypy_boto3_kms import KMSClient

_NOT_OURS = {"InvalidCiphertextException", "IncorrectKeyException"}
_REFUSED = {
    "AccessDeniedException",
    "DisabledException",
    "InvalidKeyUsageException",
    "KMSInvalidStateException",
    "NotFoundException",
    "UnrecognizedClientException",
    "ValidationException",
}


class KmsKeyProvider(KeyProvider):
    """A symmetric KMS key.

    Args:
        client: boto3's KMS client.
        key_id: id, alias or ARN of the key that wraps; unwrapping uses the key that the record names.
    """

    name = "aws-kms"

    def __init__(self, client: KMSClient, key_id: str) -> None:
        self._client = client
        self._key_id = key_id

    @property
    def post_quantum(self) -> bool:
        return True

    def wrap(self, secret: bytes, context: Mapping[str, str]) -> WrappedKey:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            answer = self._client.encrypt(
                KeyId=self._key_id, Plaintext=secret, EncryptionContext=dict(context)
            )
        except (BotoCoreError, ClientError) as error:
            _raise_for(error, self._key_id)
        return WrappedKey(self.name, answer["KeyId"], dict(context), answer["CiphertextBlob"])

    def unwrap(self, wrapped: WrappedKey, context: Mapping[str, str]) -> bytes:
        from botocore.exceptions import BotoCoreError, ClientError

        self._check(wrapped)
        try:
            answer = self._client.decrypt(
                KeyId=wrapped.key, CiphertextBlob=wrapped.data, EncryptionContext=dict(context)
            )
        except (BotoCoreError, ClientError) as error:
            _raise_for(error, wrapped.key)
        return answer["Plaintext"]


def _raise_for(error: Exception, key: str) -> NoReturn:
    response = getattr(error, "response", {})
    code = response.get("Error", {}).get("Code", type(error).__name__)
    if code in _NOT_OURS:
        raise KeyUnwrapError(
            f"KMS does not open a wrapped private key with {key}: it was altered or bound to another context.",
            hint="Take the epoch's record from another version or copy, or use the escrow identity.",
        ) from error
    if code in _REFUSED:
        raise KeyServiceDeniedError(
            f"KMS refuses the key {key} ({code}).",
            hint="Check that the key exists and is enabled, and the account's kms:Encrypt or kms:Decrypt.",
        ) from error
    raise KeyServiceUnavailableError(f"KMS did not answer for the key {key} ({code}).") from error
