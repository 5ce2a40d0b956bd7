"""What keeps a verification from reaching a verdict, and what a verdict of "failed" is made of."""

from __future__ import annotations

from typing import TYPE_CHECKING

from strongroom.errors import ConfigurationError, IntegrityError

if TYPE_CHECKING:
    from strongroom.backup.verification.proof import Proof


class NotProvenError(IntegrityError):
    """A backup was restored and is not what it should be; the proof says where."""

    @classmethod
    def of(cls, proof: Proof) -> NotProvenError:
        """The error for a failed proof, with everything that stands against the backup."""
        problems = "\n".join(f"  {level} {check.name}: {check.detail}" for level, check in proof.problems())
        return cls(
            f"The backup {proof.backup_id} of {proof.database} is not proven:\n{problems}",
            hint=f"The whole proof is {proof.key}. Earlier proven backups stay as they are.",
        )


class ProofError(IntegrityError):
    """A document is no proof of this format, or not signed by the trusted key."""


class ExpectationFileError(ConfigurationError):
    """A file of expectations cannot be used; the message names the file and the line."""


class ExpectationRunError(ConfigurationError):
    """Great Expectations itself could not be run."""
