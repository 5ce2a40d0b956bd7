"""A server of a chosen version and form, an installation that backs it up, and the proof of what it made."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from uuid import uuid4

from strongroom.backup import BackupManifest, BackupPlan, BackupSummary, manifest_key, read_manifest
from strongroom.backup.verification import Proof, RestoreVerifier, VerificationChecks, VerificationParts
from strongroom.catalog import open_engine, upgrade
from strongroom.durations import Duration
from strongroom.postgres import (
    Cluster,
    NoSuchServerVersionError,
    Scratch,
    connect,
    find_binaries,
    run_as,
    scratch_cluster,
)
from strongroom.postgres.account import own_directory
from strongroom.sealing import KeyProvider, LocalKeyProvider
from strongroom.vault import SealedVault, VaultParts
from tests.integration.backup.world import ACTOR, PLAN, World
from tests.support import require

WEEKLY = replace(PLAN, full_every=Duration.parse("7d"))
SUMMARISED = {"fsync": "off", "summarize_wal": "on", "autovacuum": "off"}
PLAIN = {"fsync": "off", "autovacuum": "off"}


@dataclass(frozen=True)
class Server:
    """A running source."""

    cluster: Cluster
    scratch: Scratch

    def execute(self, *statements: str) -> list[Any]:
        """Run statements as the superuser; gives the last one's rows."""
        rows: list[Any] = []
        with connect(self.cluster.conninfo(), application_name="test") as connection:
            for statement in statements:
                cursor = connection.execute(statement.encode())
                rows = cursor.fetchall() if cursor.description else []
        return rows

    def tablespace(self, name: str) -> Path:
        """Make a tablespace; gives its place."""
        place = self.scratch.directory / f"space-{name}"
        own_directory(place, self.scratch.account, setting="test")
        self.execute(f"CREATE TABLESPACE {name} LOCATION '{place}'")
        return place


@contextmanager
def server(
    major: int, settings: Mapping[str, str], *, initdb: Sequence[str] = ("--data-checksums",)
) -> Iterator[Server]:
    """A server in a directory of its own, gone afterwards."""
    try:
        binaries = find_binaries(major)
    except NoSuchServerVersionError:
        require(f"PostgreSQL {major}", present=False)
        raise
    with open_directory() as root, scratch_cluster(root, binaries, "source") as scratch:
        cluster = scratch.cluster(settings)
        own_directory(cluster.data_dir, scratch.account, setting="test")
        arguments = [
            f"--pgdata={cluster.data_dir}",
            "--username=postgres",
            "--encoding=UTF8",
            "--locale=C.UTF-8",
        ]
        done = run_as(
            scratch.account, [binaries.tool("initdb"), *arguments, "--auth=trust", "--no-sync", *initdb]
        )
        assert done.returncode == 0, done.stderr
        cluster.start()
        yield Server(cluster, scratch)


@contextmanager
def open_directory() -> Iterator[Path]:
    """A directory that the account of servers can enter, which pytest's own are closed to."""
    with tempfile.TemporaryDirectory(prefix="sr-chains-") as directory:
        Path(directory).chmod(0o755)
        yield Path(directory)


@dataclass(frozen=True)
class Estate:
    """An installation with its source."""

    world: World
    server: Server
    scratch_root: Path

    def back_up(self, plan: BackupPlan = WEEKLY, *, full: bool = False) -> BackupSummary:
        """Take a backup, on a host that has public keys only."""
        return self.world.service().run(ACTOR, plan, self.world.conninfo, full=full)

    def prove(self, backup_id: str | None = None, checks: VerificationChecks | None = None) -> Proof:
        """Restore a backup and check it, on a host that has the private key."""
        provider = LocalKeyProvider(self.world.key_file)
        parts = self.world.parts()
        verifier = RestoreVerifier(
            VerificationParts(
                self.world.store,
                self.vault(provider),
                parts.engine,
                parts.sink,
                parts.signer,
                parts.clock,
                self.scratch_root,
                self.world.directory,
            )
        )
        proof = verifier.verify_checks(ACTOR, "shop", checks or VerificationChecks(), backup_id)
        assert list(self.scratch_root.iterdir()) == []
        return proof

    def vault(self, provider: KeyProvider | None) -> SealedVault:
        parts = self.world.parts()
        return SealedVault(
            VaultParts(
                self.world.store, self.world.keyring(), provider, parts.engine, parts.sink, parts.clock
            )
        )

    def manifest(self, backup_id: str) -> BackupManifest:
        data = self.world.store.get_bytes(manifest_key("shop", backup_id))
        return read_manifest(data, self.world.signer.verifier)


@contextmanager
def estate(source: Server, control: Cluster) -> Iterator[Estate]:
    """An installation with keys and an empty bucket."""
    name = f"control_{uuid4().hex[:12]}"
    with connect(control.conninfo(), application_name="test") as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
    url = f"postgresql://postgres@/{name}?host={control.socket_dir}&port=5432"
    engine = open_engine(url)
    upgrade(engine)
    with open_directory() as directory, open_directory() as scratch_root:
        world = World(directory, source.cluster.conninfo(), url, engine)
        world.make_keys()
        yield Estate(world, source, scratch_root)
    engine.dispose()


def checks_of(proof: Proof) -> dict[str, str]:
    """Every check of a proof with its outcome."""
    return {
        f"{level.level} {check.name}": str(check.status) for level in proof.levels for check in level.checks
    }
