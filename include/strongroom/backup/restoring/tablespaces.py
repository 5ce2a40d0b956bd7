"""Tablespaces of a restored cluster: below the restore's own directory, never at the place that they had at the source.

    <data directory>/pg_tblspc/<oid>      while it is unpacked, checked and combined: an ordinary directory
    <tablespaces>/<oid>                   afterwards; pg_tblspc/<oid> is a link to it, as PostgreSQL wants it

The backup's `tablespace_map` names the places at the source, and recovery would make links to them: on the source's
own machine that is the living data. So the map goes. (`guarding` refuses a log that would do the same.)
"""

from __future__ import annotations

import os
from pathlib import Path

from strongroom.backup.restoring.errors import RecoveryError
from strongroom.postgres import ServiceAccount
from strongroom.postgres.account import own_directory

_FOLDER = "pg_tblspc"
_MAP = ("tablespace_map", "tablespace_map.old")


def tablespace_directory(data_dir: Path, oid: int, account: ServiceAccount | None) -> Path:
    """Where a tablespace's archive is unpacked; made if need be."""
    folder = data_dir / _FOLDER
    if not folder.is_dir():
        own_directory(folder, account, setting="scratch_directory")
    own_directory(folder / str(oid), account, setting="scratch_directory")
    return folder / str(oid)


def settle_tablespaces(data_dir: Path, tablespaces: Path, account: ServiceAccount | None) -> tuple[int, ...]:
    """Move the unpacked tablespaces to their place, link them, and forget where they were at the source.

    Call it after the files were checked against PostgreSQL's manifest, and before the server is started.

    Args:
        data_dir: of the restored cluster.
        tablespaces: a directory on the same disk; made if need be.
        account: who owns the cluster; None for ourselves.

    Returns:
        The tablespaces' oids.

    Raises:
        RecoveryError: something else than tablespaces lies among them.
    """
    for name in _MAP:
        (data_dir / name).unlink(missing_ok=True)
    found = []
    for path in sorted((data_dir / _FOLDER).iterdir()):
        if path.is_symlink() or not path.is_dir() or not path.name.isdecimal():
            raise RecoveryError(
                f"The restored cluster has a strange entry among its tablespaces: {path.name[:80]!r}."
            )
        _move(path, tablespaces, account)
        found.append(int(path.name))
    return tuple(found)


def _move(path: Path, tablespaces: Path, account: ServiceAccount | None) -> None:
    own_directory(tablespaces, account, setting="scratch_directory")
    target = tablespaces.absolute() / path.name
    path.rename(target)
    path.symlink_to(target)
    if account is not None:
        os.chown(path, account.uid, account.gid, follow_symlinks=False)
