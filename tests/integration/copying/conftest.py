"""An installation with a store, a copy, keys and small backups; the sweeps' own."""

from __future__ import annotations

from tests.sweeps.conftest import backup, directory, escrow, keys, place, server

__all__ = ["backup", "directory", "escrow", "keys", "place", "server"]
