"""What can go wrong while the embedded parts start and stop."""

from strongroom.errors import ConfigurationError, RefusedError, StrongroomError


class EmbeddedError(StrongroomError):
    """An embedded part did not do what it was asked."""


class PartFailedError(EmbeddedError):
    """A part did not start, or ended by itself; the message carries its log's last lines."""


class StepFailedError(EmbeddedError):
    """A program that prepares something ended with an error; the message carries what it said."""


class PipelineFailedError(EmbeddedError):
    """A pipeline run did not succeed; the message carries its log's last lines."""


class StateInUseError(RefusedError):
    """Another `make up` or `make down` works on the same state folder."""


class StateFolderError(ConfigurationError):
    """The state folder cannot be used, or what it says cannot be read."""
