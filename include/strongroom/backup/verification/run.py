"""The restore that a verification works on: what it has so far, handed from level to level."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path

from strongroom.backup.fingerprints import FingerprintDocument
from strongroom.backup.manifest import BackupManifest
from strongroom.backup.restoring.chains import ChainLayout
from strongroom.backup.restoring.facts import RestoreFacts
from strongroom.backup.restoring.objects import BackupObjects
from strongroom.backup.verification.checks import VerificationChecks
from strongroom.backup.verification.expectations import ExpectationSuite
from strongroom.backup.verification.expectations_run import ExpectationProcess
from strongroom.backup.verification.proof import Measures, NotComparable
from strongroom.postgres import Cluster, Scratch, databases
from strongroom.postgres.fingerprint import TableName
from strongroom.postgres.session import connect

_SYSTEM_DATABASES = frozenset({"postgres"})


@dataclass
class RestoreRun:
    """One backup being restored.

    Args:
        manifest: of the backup, its signature checked.
        objects: where the backup's objects come from.
        checks: what the policy wants.
        scratch: the scratch directory.
        suite: the business checks, where the policy names some.
        search: further places of server programs.
    """

    manifest: BackupManifest
    objects: BackupObjects
    checks: VerificationChecks
    scratch: Scratch
    suite: ExpectationSuite | None = None
    search: Sequence[Path] = ()
    ancestors: tuple[BackupManifest, ...] = ()
    """What an incremental backup builds on, the full backup first."""
    fingerprints: FingerprintDocument | None = None
    cluster: Cluster | None = None
    """The restored server, once it runs."""
    expectation_process: ExpectationProcess | None = None
    source_columns: Mapping[TableName, tuple[str, ...]] = field(default_factory=dict)
    """Of a logical backup's tables, in the source's order: inheritance can bring them back in another."""
    load_problems: list[str] = field(default_factory=list)
    """What the scratch server refused of a logical backup."""
    not_comparable: list[NotComparable] = field(default_factory=list)
    fetch_and_unpack_seconds: float | None = None
    recovery_seconds: float | None = None
    restored_to: datetime | None = None
    restored_bytes: int | None = None
    covered_until: datetime | None = None
    random_point: datetime | None = None
    gather_facts: Callable[[], RestoreFacts] | None = None
    """Reads what the bucket holds of the database, its archived log included."""

    @cached_property
    def facts(self) -> RestoreFacts | None:
        """What the bucket holds of the database; None when nobody gave a way to find out.

        Raises:
            IntegrityError: a receipt of the archived log cannot be believed.
        """
        return self.gather_facts() if self.gather_facts else None

    @property
    def layout(self) -> ChainLayout:
        """Where the backup, or the parts of its chain, are unpacked."""
        scratch = self.scratch
        chain = (*self.ancestors, self.manifest)
        return ChainLayout(chain, scratch.data_dir, scratch.directory / "chain", scratch.account)

    @property
    def wal_dir(self) -> Path:
        """Where the WAL after the base backup's own is unpacked."""
        return self.scratch.directory / "wal"

    @property
    def measures(self) -> Measures:
        """What was measured so far, to the millisecond."""
        return Measures(
            _milliseconds(self.fetch_and_unpack_seconds),
            _milliseconds(self.recovery_seconds),
            self.restored_to,
            self.restored_bytes,
            self.covered_until,
            self.random_point,
        )

    def close(self) -> None:
        """End the helper process, if there is one; the scratch directory's owner ends the server."""
        if self.expectation_process is not None:
            self.expectation_process.close()


def target_database(run: RestoreRun, cluster: Cluster) -> str | None:
    """The database inside the server that business checks are about; None when it cannot be told.

    That is the one that the settings name; else the one of the policy's name; else the only one there is.
    """
    with connect(cluster.conninfo(), application_name="strongroom verify") as connection:
        names = databases(connection)
    for wanted in (run.checks.dbname, run.manifest.database):
        if wanted in names:
            return wanted
    others = [name for name in names if name not in _SYSTEM_DATABASES]
    return others[0] if len(others) == 1 else None


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)
