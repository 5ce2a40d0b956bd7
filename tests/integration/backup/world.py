"""What the backup tests share: an installation in a directory, also for processes that are to be killed.

    python -m tests.integration.backup.world CONFIG STAGE

takes a backup with the installation of the JSON file CONFIG and kills itself with SIGKILL at STAGE: `base`,
`wal`, `data`, `fingerprints` (as soon as that stage makes progress), `manifest` (just before it is written),
`catalogue` (just after), or `never`.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Engine

from strongroom.access import Actor, Role
from strongroom.access.actor import ActorKind
from strongroom.audit import QueueSink
from strongroom.backup import BackupParts, BackupPlan, BackupService
from strongroom.catalog import open_engine
from strongroom.clock import SystemClock
from strongroom.sealing import KeyRing, LocalKeyProvider, X25519Identity
from strongroom.signing import SignerKey
from strongroom.storage import LocalObjectStore, ObjectInfo, ObjectStore
from strongroom.vault import SealedVault, VaultParts

ACTOR = Actor("nightly", ActorKind.TASK, frozenset({Role.OPERATOR}))
PLAN = BackupPlan("shop", "00" * 32)
LOGICAL = BackupPlan("shop", "00" * 32, method="logical")


@dataclass(frozen=True)
class World:
    """An installation with its source."""

    directory: Path
    conninfo: str
    control_url: str
    engine: Engine

    @property
    def key_file(self) -> Path:
        return self.directory / "local.key"

    @property
    def signer(self) -> SignerKey:
        return SignerKey.parse((self.directory / "signing.key").read_text())

    @property
    def store(self) -> LocalObjectStore:
        return LocalObjectStore(self.directory / "bucket")

    def keyring(self) -> KeyRing:
        return KeyRing(self.store, self.signer.verifier, SystemClock())

    def make_keys(self) -> None:
        (self.directory / "bucket").mkdir()
        (self.directory / "signing.key").write_text(SignerKey.generate("strongroom.test").encode())
        provider = LocalKeyProvider.generate(self.key_file)
        self.keyring().create_epoch(purpose="backup", provider=provider, signer=self.signer)
        self.keyring().add_escrow(str(X25519Identity.generate().recipient), self.signer)

    def parts(self, store: ObjectStore | None = None) -> BackupParts:
        engine, sink, clock = self.engine, QueueSink(), SystemClock()
        bucket = store or self.store
        vault = SealedVault(VaultParts(bucket, self.keyring(), None, engine, sink, clock))
        return BackupParts(bucket, vault, engine, sink, self.signer, clock)

    def service(self, store: ObjectStore | None = None) -> BackupService:
        return BackupService(self.parts(store))

    def identity(self) -> str:
        """The private half of the key epoch, as a person would unwrap it to use `age -d`."""
        provider = LocalKeyProvider(self.key_file)
        return str(self.keyring().identities(provider)[0])

    def write_config(self, method: str = "physical") -> Path:
        path = self.directory / "config.json"
        values = {
            "directory": str(self.directory),
            "conninfo": self.conninfo,
            "url": self.control_url,
            "method": method,
        }
        path.write_text(json.dumps(values))
        return path

    def incomplete(self) -> list[str]:
        """Every file below the backups' folder that belongs to no complete backup."""
        root = self.directory / "bucket"
        files = [path for path in root.rglob("*") if path.is_file()]
        done = {path.parent for path in files if path.name == "manifest.json"}
        backups = [path for path in files if "backups" in path.relative_to(root).parts]
        return sorted(str(path.relative_to(root)) for path in backups if not done & set(path.parents))


class DeadlyStore(LocalObjectStore):
    """A bucket at which the process dies before or after it writes the manifest."""

    stage = "never"

    def put_bytes(self, key: str, data: bytes, **options: Any) -> ObjectInfo:
        if key.endswith("manifest.json") and self.stage == "manifest":
            _die()
        info = super().put_bytes(key, data, **options)
        if key.endswith("manifest.json") and self.stage == "catalogue":
            _die()
        return info


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(60)


def _main(config: str, stage: str) -> None:
    values = json.loads(Path(config).read_text())
    world = World(Path(values["directory"]), values["conninfo"], values["url"], open_engine(values["url"]))
    store = DeadlyStore(world.directory / "bucket")
    store.stage = stage

    def progress(name: str, _amount: int) -> None:
        print(name, flush=True)
        if name == stage:
            _die()

    plan = LOGICAL if values["method"] == "logical" else PLAN
    print(world.service(store).run(ACTOR, plan, world.conninfo, progress=progress).backup_id)


if __name__ == "__main__":
    _main(*sys.argv[1:])
