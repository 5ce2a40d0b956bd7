"""What can go wrong when something is put into the vault or taken out."""

from strongroom.errors import ConfigurationError, InputError, IntegrityError, NotFoundError


class UnknownObjectError(NotFoundError):
    """The vault has no object under that key."""


class ObjectKeyError(InputError):
    """A key or kind that the vault does not accept."""


class ObjectReplacedError(IntegrityError):
    """The object in the bucket is not the one that was recorded."""


class NoPrivateKeyError(ConfigurationError):
    """This host holds public keys only, so it can write and not read."""
