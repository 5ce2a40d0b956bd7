"""What the verification tests share: an installation with one backup, and verifiers for it.

    python -m tests.integration.verification.place CONFIG STAGE

verifies the backup of the installation that the JSON file CONFIG describes, and kills itself with SIGKILL at
STAGE: `fetch` (in the middle of unpacking) or the name of a level, just after that level.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from strongroom.access import Actor, ActorKind, Role
from strongroom.audit import QueueSink
from strongroom.backup import (
    BackupManifest,
    BackupParts,
    BackupPlan,
    BackupService,
    ManifestObject,
    manifest_key,
    read_manifest,
)
from strongroom.backup.restoring.objects import BackupObjects, VaultObjects
from strongroom.backup.verification import Proof, RestoreVerifier, VerificationChecks, VerificationParts
from strongroom.backup.verification.levels import LADDER, Level
from strongroom.backup.verification.recorder import LevelReport, Recorder
from strongroom.backup.verification.run import RestoreRun
from strongroom.catalog import open_engine
from strongroom.clock import SystemClock
from strongroom.sealing import KeyProvider, KeyRing, LocalKeyProvider, X25519Identity
from strongroom.signing import SignerKey
from strongroom.storage import Condition, LocalObjectStore
from strongroom.vault import SealedVault, VaultParts

Buffer = bytes | bytearray | memoryview
BARE = VerificationChecks()
ACTOR = Actor("nightly", ActorKind.TASK, frozenset({Role.OPERATOR}))


@dataclass(frozen=True)
class Place:
    """An installation's directory, with the backup that is to be verified."""

    directory: Path
    control_url: str
    scratch_root: Path
    """Outside of pytest's directories, which are closed to the account that servers run as."""
    backup_id: str

    @property
    def store(self) -> LocalObjectStore:
        return LocalObjectStore(self.directory / "bucket")

    @property
    def signer(self) -> SignerKey:
        return SignerKey.parse((self.directory / "signing.key").read_text())

    @property
    def provider(self) -> KeyProvider:
        return LocalKeyProvider(self.directory / "local.key")

    def manifest(self) -> BackupManifest:
        data = self.store.get_bytes(manifest_key("shop", self.backup_id))
        return read_manifest(data, self.signer.verifier)

    def item(self, role: Any) -> ManifestObject:
        return self.manifest().object(role)

    def rewrite(self, key: str, data: bytes) -> None:
        """Put other bytes in an object's place, as somebody with access to the bucket could."""
        self.store.put_bytes(key, data, condition=Condition.OVERWRITE)

    def parts(self, provider: KeyProvider | None) -> VerificationParts:
        engine, sink, clock = open_engine(self.control_url), QueueSink(), SystemClock()
        keyring = KeyRing(self.store, self.signer.verifier, clock)
        vault = SealedVault(VaultParts(self.store, keyring, provider, engine, sink, clock))
        return VerificationParts(
            self.store, vault, engine, sink, self.signer, clock, self.scratch_root, self.directory
        )

    def verify(
        self,
        checks: VerificationChecks = BARE,
        *,
        actor: Actor = ACTOR,
        levels: Sequence[Level] = LADDER,
        provider: KeyProvider | None = None,
        with_key: bool = True,
    ) -> Proof:
        parts = self.parts(provider or (self.provider if with_key else None))
        try:
            return RestoreVerifier(parts, levels=levels).verify_checks(actor, "shop", checks)
        finally:
            parts.engine.dispose()

    def back_up(self, conninfo: str) -> str:
        """Make keys and take a backup; gives its id."""
        (self.directory / "bucket").mkdir()
        (self.directory / "signing.key").write_text(SignerKey.generate("strongroom.test").encode())
        provider = LocalKeyProvider.generate(self.directory / "local.key")
        keyring = KeyRing(self.store, self.signer.verifier, SystemClock())
        keyring.create_epoch(purpose="backup", provider=provider, signer=self.signer)
        keyring.add_escrow(str(X25519Identity.generate().recipient), self.signer)
        parts = self.parts(None)
        own = BackupParts(parts.store, parts.vault, parts.engine, parts.sink, parts.signer, parts.clock)
        try:
            return BackupService(own).run(ACTOR, BackupPlan("shop", "00" * 32), conninfo).backup_id
        finally:
            parts.engine.dispose()

    def left_over(self) -> list[str]:
        return sorted(path.name for path in self.scratch_root.iterdir())


class Meddling(Level):
    """A step between two levels, in which somebody meddles with the restored server. It reports nothing."""

    name, title = "M", "meddling"

    def __init__(self, action: Any) -> None:
        self._action = action

    def run(self, restore: RestoreRun, recorder: Recorder, report: LevelReport) -> None:
        self._action(restore)
        report.not_applicable("meddling", "not a check")


def after(name: str, action: Any) -> list[Level]:
    """The ladder with a step after one level."""
    at = [level.name for level in LADDER].index(name) + 1
    return [*LADDER[:at], Meddling(action), *LADDER[at:]]


class _DeadlyObjects(VaultObjects):
    """Objects in whose second piece the process dies."""

    @contextmanager
    def open(self, item: ManifestObject) -> Iterator[Iterable[Buffer]]:
        with super().open(item) as content:
            yield self._deadly(content)

    def _deadly(self, content: Iterable[Buffer]) -> Iterator[Buffer]:
        for number, piece in enumerate(content):
            if number == 1:
                die()
            yield piece


def die(_restore: RestoreRun | None = None) -> None:
    os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(60)


def _main(config: str, stage: str) -> None:
    values = json.loads(Path(config).read_text())
    place = Place(
        Path(values["directory"]), values["control_url"], Path(values["scratch_root"]), values["backup_id"]
    )
    parts = place.parts(place.provider)
    if stage == "fetch":

        def objects(of: Actor) -> BackupObjects:
            return _DeadlyObjects(parts.store, parts.vault, of)

        RestoreVerifier(parts, objects=objects).verify_checks(ACTOR, "shop", BARE)
    else:
        RestoreVerifier(parts, levels=after(stage, die)).verify_checks(ACTOR, "shop", BARE)


if __name__ == "__main__":
    _main(sys.argv[1], sys.argv[2])
