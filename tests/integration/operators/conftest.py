"""The installation of the command line's tests, as operators see it."""

from tests.integration.cli.conftest import installation, open_folder

__all__ = ["installation", "open_folder"]
