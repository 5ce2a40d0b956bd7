"""The place that a scenario works in: a bucket in a directory, keys, a control database; and what must hold there.

A `Lab` holds one such place as it is before the scenario; each run of a sweep gets a copy of its own.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any
from uuid import uuid4

from sqlalchemy import Engine, event

from strongroom.access import Actor, ActorKind, Role
from strongroom.audit.verify import verify_log
from strongroom.backup import BackupManifest, read_manifest
from strongroom.catalog import open_engine
from strongroom.postgres import Connection, connect
from strongroom.services import Services
from strongroom.settings import FileKeySettings, LocalStoreSettings, Settings
from strongroom.storage import LocalObjectStore
from tests.sweeps.faults import Faults, FaultyStore, watched_commits

ACTOR = Actor("nightly", ActorKind.TASK, frozenset({Role.OPERATOR}))
_VARIABLE_PARTS = re.compile(r"\d{8}T\d{6}(?:\.\d{6})?Z(?:-[0-9a-f]{4})?")
_PAIRED = frozenset(
    {
        "backup:run:execute",
        "copy:run:execute",
        "restore:run:execute",
        "retention:item:delete",
        "retention:item:mark",
        "retention:run:execute",
        "vault:object:store",
        "vault:object:open",
        "verification:run:execute",
        "wal:segment:ship",
        "wal:leftover:remove",
    }
)
"""What is recorded as an attempt before it acts, and as a result after it."""
_RECORDS = ("log/", "retention/")
"""The audit log, and the purges that were carried out: each try leaves its own."""
_COUNTED = ("vault_object", "backup", "proof", "copied_backup", "copy_run")


@dataclass(frozen=True)
class Ground:
    """One copy of the place."""

    directory: Path
    control_url: str
    source: str
    """The connection string of the database that is backed up."""
    scratch: Path

    @property
    def bucket(self) -> Path:
        return self.directory / "bucket"

    @property
    def offsite(self) -> Path:
        return self.directory / "offsite"

    @property
    def settings(self) -> Settings:
        return Settings(
            store=LocalStoreSettings(kind="local", directory=self.bucket),
            copies={"offsite": LocalStoreSettings(kind="local", directory=self.offsite)},
            signing_key=self.directory / "signing.key",
            keys=FileKeySettings(path=self.directory / "local.key"),
            scratch_directory=self.scratch,
            databases={"shop": self.source},
        )

    @contextmanager
    def services(self, faults: Faults | None = None) -> Iterator[Services]:
        """The installation's services, with the faults between them and what they work on."""
        services = Services(self.settings, control_database_url=self.control_url)
        engine = patient_engine(self.control_url)
        services.engine = engine  # type: ignore[misc]  # its tables are up to date already
        try:
            if faults is None:
                yield services
                return
            services.stores.main = FaultyStore(services.stores.main, faults)  # type: ignore[misc]
            services.stores._copies["offsite"] = FaultyStore(services.stores.copy("offsite"), faults)
            with watched_commits(engine, faults):
                yield services
        finally:
            engine.dispose()

    @contextmanager
    def engine(self) -> Iterator[Engine]:
        engine = patient_engine(self.control_url)
        try:
            yield engine
        finally:
            engine.dispose()

    def rows(self, query: str) -> list[Any]:
        """What the control database answers."""
        return session(self.control_url).execute(query.encode()).fetchall()

    def object_keys(self, directory: Path | None = None) -> list[str]:
        """What the bucket holds, or the copy."""
        return [info.key for info in LocalObjectStore(directory or self.bucket).list("")]

    def state(self) -> dict[str, int]:
        """What there is, with every name that differs from run to run made equal; what only grows is left out."""
        copied = [f"offsite/{key}" for key in self.object_keys(self.offsite) if not key.startswith(_RECORDS)]
        kept = [key for key in self.object_keys() if not key.startswith(_RECORDS)]
        objects = Counter(_VARIABLE_PARTS.sub("*", key) for key in (*kept, *copied))
        for table in _COUNTED:
            objects[f"table {table}"] = self.rows(f"SELECT count(*) FROM public.{table}")[0][0]
        return dict(objects)

    def unfinished(self) -> list[str]:
        """Attempts in the audit log that nothing says the end of."""
        attempts: Counter[tuple[str, str]] = Counter()
        for (entry,) in self.rows(
            "SELECT entry FROM public.audit_queue UNION ALL SELECT entry FROM public.audit_entry"
        ):
            document = json.loads(bytes(entry))
            if document["type"] in _PAIRED:
                name = (document["type"], document["data"].get("correlation_id", ""))
                attempts[name] += 1 if document["data"]["phase"] == "attempt" else -1
        return [" ".join(name) for name, open_ends in attempts.items() if open_ends > 0]

    def check(self) -> None:
        """What must hold after every successful run, whatever went before it."""
        for store in (self.bucket, self.offsite):
            assert [path.name for path in (store / ".strongroom" / "writing").iterdir()] == []
        assert list(self.scratch.iterdir()) == []
        self._check_backups()
        self._check_index()
        self._check_proofs()
        self._check_copy()
        self._check_log()

    def check_released(self) -> None:
        """Nobody holds a lease any more."""
        for key in self.object_keys():
            if key.startswith("leases/"):
                assert json.loads((self.bucket / key).read_bytes())["released"]

    def manifests(self) -> list[BackupManifest]:
        with self.services() as services:
            return [
                read_manifest(services.store.get_bytes(key), services.verifier_key, key)
                for key in self.object_keys()
                if key.startswith("backups/") and key.endswith("/manifest.json")
            ]

    def _check_backups(self) -> None:
        manifests = self.manifests()
        items = {item.key: item for manifest in manifests for item in manifest.objects}
        present = {key for key in self.object_keys() if key.startswith("backups/")}
        assert present == {*items, *(manifest.key for manifest in manifests)}
        for key, item in items.items():
            assert hashlib.sha256((self.bucket / key).read_bytes()).hexdigest() == item.sha256
        recorded = [row[0] for row in self.rows("SELECT backup_id FROM public.backup ORDER BY 1")]
        assert recorded == sorted(manifest.backup_id for manifest in manifests)

    def _check_index(self) -> None:
        indexed = {row[0]: row[1] for row in self.rows("SELECT key, sha256 FROM public.vault_object")}
        sealed = {
            key: hashlib.sha256((self.bucket / key).read_bytes()).hexdigest()
            for key in self.object_keys()
            if key.endswith(".age")
        }
        assert indexed == sealed

    def _check_proofs(self) -> None:
        recorded = [row[0] for row in self.rows("SELECT proof_key FROM public.proof ORDER BY 1")]
        assert recorded == [key for key in self.object_keys() if key.startswith("proofs/")]

    def _check_copy(self) -> None:
        """The copy holds nothing but what the bucket holds, and says no more than it holds."""
        copied = [key for key in self.object_keys(self.offsite) if not key.startswith("log/")]
        for key in copied:
            assert (self.offsite / key).read_bytes() == (self.bucket / key).read_bytes()
        whole = [key.split("/")[2] for key in copied if key.endswith("/manifest.json")]
        recorded = [row[0] for row in self.rows("SELECT backup_id FROM public.copied_backup ORDER BY 1")]
        assert recorded == sorted(whole)
        for manifest in self.manifests():
            assert manifest.backup_id not in whole or {item.key for item in manifest.objects} <= set(copied)

    def _check_log(self) -> None:
        with self.services() as services:
            sealed = services.audit_log.seal()
            if sealed.size:
                assert verify_log(services.store, services.verifier_key).size == sealed.size
        assert self.rows("SELECT count(*) FROM public.audit_rejected")[0][0] == 0


def patient_engine(url: str) -> Engine:
    """As `open_engine`, for a machine that has a hundred other things to do: slow is not what a sweep is about."""
    engine = open_engine(url)

    @event.listens_for(engine, "do_connect")
    def wait_longer(_dialect: Any, _record: Any, _arguments: Any, parameters: dict[str, Any]) -> None:
        parameters["connect_timeout"] = 60

    return engine


@cache
def session(url: str) -> Connection:
    """One connection to a control database, for all that a sweep asks of it."""
    return connect(url, application_name="sweep")


@dataclass(frozen=True)
class Lab:
    """A place as it is before a scenario, and copies of it; one at a time, since all have its control database."""

    original: Ground
    directory: Path
    """Where the copies are made."""

    def __post_init__(self) -> None:
        """Keep the control database's rows as they are now."""
        self._administer("DROP SCHEMA IF EXISTS kept CASCADE", "CREATE SCHEMA kept")
        self._administer(*(f"CREATE TABLE kept.{table} AS TABLE public.{table}" for table in self._tables()))

    @contextmanager
    def ground(self) -> Iterator[Ground]:
        """A copy, gone afterwards."""
        tables = self._tables()
        self._administer(
            "BEGIN",
            "SET LOCAL session_replication_role = replica",
            f"TRUNCATE {', '.join(f'public.{table}' for table in tables)}",
            *(f"INSERT INTO public.{table} OVERRIDING SYSTEM VALUE TABLE kept.{table}" for table in tables),
            "COMMIT",
        )
        directory = self.directory / uuid4().hex[:8]
        scratch = directory.with_suffix(".scratch")
        shutil.copytree(self.original.directory, directory)
        scratch.mkdir()
        try:
            yield replace(self.original, directory=directory, scratch=scratch)
        finally:
            shutil.rmtree(directory)
            shutil.rmtree(scratch, ignore_errors=True)

    def _tables(self) -> list[str]:
        found = self.original.rows("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        return [row[0] for row in found]

    def _administer(self, *statements: str) -> None:
        for statement in statements:
            session(self.original.control_url).execute(statement.encode())
