"""PostgreSQL: server programs, servers on this machine, connections, and what a server holds."""

from strongroom.postgres.account import ServiceAccount, run_as, service_account
from strongroom.postgres.binaries import ServerBinaries, find_binaries
from strongroom.postgres.cluster import SUPERUSER, Cluster
from strongroom.postgres.errors import (
    DatabaseLoginError,
    DatabaseUnreachableError,
    LockHeldError,
    MissingPrivilegeError,
    NoSuchServerVersionError,
    PostgresError,
    ScratchFullError,
    ServerStartError,
    ServerStopError,
    UnreachableDirectoryError,
)
from strongroom.postgres.fingerprint import (
    Fingerprint,
    exported_snapshot,
    new_seed,
    table_fingerprint,
    table_fingerprints,
)
from strongroom.postgres.inspect import (
    Table,
    TableKind,
    databases,
    server_major,
    server_version,
    tables,
    with_database,
)
from strongroom.postgres.locks import advisory_lock, lock_key
from strongroom.postgres.lsn import format_lsn, parse_lsn, segment_name, segment_start
from strongroom.postgres.scratch import (
    Scratch,
    free_bytes,
    full_disk_named,
    remove_stale_scratch,
    scratch_cluster,
    scratch_directory,
)
from strongroom.postgres.session import SESSION_SETTINGS, Connection, connect, server_errors

__all__ = [
    "SESSION_SETTINGS",
    "SUPERUSER",
    "Cluster",
    "Connection",
    "DatabaseLoginError",
    "DatabaseUnreachableError",
    "Fingerprint",
    "LockHeldError",
    "MissingPrivilegeError",
    "NoSuchServerVersionError",
    "PostgresError",
    "Scratch",
    "ScratchFullError",
    "ServerBinaries",
    "ServerStartError",
    "ServerStopError",
    "ServiceAccount",
    "Table",
    "TableKind",
    "UnreachableDirectoryError",
    "advisory_lock",
    "connect",
    "databases",
    "exported_snapshot",
    "find_binaries",
    "format_lsn",
    "free_bytes",
    "full_disk_named",
    "lock_key",
    "new_seed",
    "parse_lsn",
    "remove_stale_scratch",
    "run_as",
    "scratch_cluster",
    "scratch_directory",
    "segment_name",
    "segment_start",
    "server_errors",
    "server_major",
    "server_version",
    "service_account",
    "table_fingerprint",
    "table_fingerprints",
    "tables",
    "with_database",
]
