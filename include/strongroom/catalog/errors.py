"""What can go wrong with the control database."""

from strongroom.errors import ConfigurationError, NotFoundError, TransientError


class CatalogUnavailableError(TransientError):
    """The control database does not answer."""


class CatalogTooNewError(ConfigurationError):
    """The control database was written by a later Strongroom than this one."""


class BackupNotFoundError(NotFoundError):
    """No backup is recorded under that name."""


class ProofNotFoundError(NotFoundError):
    """No proof is recorded for that backup."""
