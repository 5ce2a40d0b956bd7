"""A shop with orders of many customers, its archive, and what reads it. Parts are made the way a sweep makes them."""

from __future__ import annotations

import io
import json
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pyarrow.parquet as pq
from click.testing import Result
from psycopg import sql
from sqlalchemy import Engine
from typer.testing import CliRunner

from strongroom.access import Actor, ActorKind, Role
from strongroom.archive.columns import SourceCodec, table_codec
from strongroom.archive.manifest import (
    PERSONS_KIND,
    PERSONS_NAME,
    ROWS_KIND,
    PartColumn,
    PartManifest,
    PartObject,
    PartReceipt,
    PartRule,
    PartSource,
    PartTable,
    part_prefix,
    rows_name,
)
from strongroom.archive.persons import person_index
from strongroom.archive.querying import ArchiveReader, Question, ReadingParts
from strongroom.archive.rowsource import batches
from strongroom.archive.selecting import Person
from strongroom.audit import QueueSink
from strongroom.cli import archive
from strongroom.cli.app import app
from strongroom.clock import SystemClock
from strongroom.policy import Policy, load_policy
from strongroom.postgres import connect
from strongroom.retention.holds import HoldScope, ScopeKind
from strongroom.sealing import LocalKeyProvider
from strongroom.services import Services
from strongroom.settings import load_settings
from strongroom.storage import ObjectStore
from strongroom.vault import SealedVault, StoredObject, VaultParts
from tests.integration.backup.world import World

OPERATOR = Actor("keeper", ActorKind.TASK, frozenset({Role.OPERATOR}))

SHOP = """
CREATE DOMAIN public.money_amount AS numeric(12, 2);
CREATE TABLE public.customer (customer_id int PRIMARY KEY, email text NOT NULL);
INSERT INTO public.customer SELECT g, 'c' || g || '@example.org' FROM generate_series(1, 50) g;
CREATE TABLE public.orders (
    order_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, customer_id int NOT NULL REFERENCES public.customer,
    ordered_at timestamptz NOT NULL, total public.money_amount, due date, tags text[],
    reference uuid DEFAULT gen_random_uuid(),
    doubled numeric(14, 2) GENERATED ALWAYS AS (total * 2) STORED);
INSERT INTO public.orders (customer_id, ordered_at, total, due, tags)
  SELECT 1 + g % 50, '2018-01-01'::timestamptz + g * interval '6 hours', g + 0.25,
         CASE WHEN g % 100 = 0 THEN 'infinity'::date ELSE '2020-01-01'::date + g END, ARRAY['a', NULL]
    FROM generate_series(0, 999) g;
CREATE SCHEMA strongroom;
CREATE TABLE strongroom.archived_part (part_id text PRIMARY KEY, table_name text NOT NULL, rows bigint NOT NULL,
    manifest_sha256 text NOT NULL, archived_at timestamptz NOT NULL DEFAULT clock_timestamp(), recorded_at timestamptz);
"""

POLICY = """
database: shop
controller: {name: Meridian Shop BV, dpo: dpo@example.org}
backup: {method: logical, schedule: "0 2 * * *"}
purposes:
  bookkeeping: {lawful_basis: legal_obligation}
subjects:
  customer:
    table: public.customer
    identifiers:
      customer_id: {column: customer_id, direct: false}
      email: {column: email, direct: true, normalise: email}
tables:
  public.customer:
    purpose: [bookkeeping]
    columns: {email: {category: user.contact.email, erase: random_email}}
    not_personal: [customer_id]
  public.orders:
    not_personal: [order_id, customer_id, ordered_at, total, due, reference, tags, doubled]
    links: [{columns: [customer_id], to: public.customer, kind: owns}]
    archive: {older_than: 2y, by: ordered_at, keep: 8y, purpose: bookkeeping}
"""


@dataclass
class CountingStore:
    """A store that remembers which objects were read."""

    inner: ObjectStore
    read: list[str] = field(default_factory=list)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def open_range(self, key: str, *arguments: Any, **options: Any) -> Any:
        self.read.append(key)
        return self.inner.open_range(key, *arguments, **options)


@dataclass(frozen=True)
class Place:
    """An installation with an archive."""

    world: World
    policy: Policy
    store: CountingStore

    @property
    def conninfo(self) -> str:
        return self.world.conninfo

    @property
    def vault(self) -> SealedVault:
        provider = LocalKeyProvider(self.world.key_file)
        engine, sink, clock = self.world.engine, QueueSink(), SystemClock()
        return SealedVault(VaultParts(self.store, self.world.keyring(), provider, engine, sink, clock))  # type: ignore[arg-type]

    @property
    def parts(self) -> ReadingParts:
        trusted = self.world.signer.verifier
        return ReadingParts(self.store, self.vault, self.world.engine, QueueSink(), trusted)  # type: ignore[arg-type]

    def ask(
        self, question: str, *, live: bool = False, person: Person | None = None, actor: Actor = OPERATOR
    ) -> list[tuple[str | None, ...]]:
        """All rows of an answer."""
        reader = ArchiveReader(self.parts)
        asked = Question(question, person)
        with reader.query(actor, self.policy, asked, self.conninfo if live else None) as answered:
            return list(answered.answer.rows)

    def command(self, *arguments: str, given: str = "") -> Result:
        """Run `strongroom archive`."""
        with self.services() as service, patch.object(archive, "services", lambda: service):
            return CliRunner().invoke(app, ["archive", *arguments], input=given)

    def hold(self, database: str) -> str:
        """Place a legal hold on a database; its id."""
        with self.services() as service:
            return service.holds.place(OPERATOR, HoldScope(ScopeKind.DATABASE, database), "case-1").id

    @contextmanager
    def services(self) -> Iterator[Services]:
        """The installation's services."""
        world = self.world
        settings = {
            "store": {"kind": "local", "directory": str(world.directory / "bucket")},
            "control_database": world.control_url,
            "signing_key": str(world.directory / "signing.key"),
            "keys": {"provider": "file", "path": str(world.key_file)},
            "policy_directory": str(world.directory),
            "databases": {"shop": self.conninfo},
        }
        file = world.directory / "settings.json"
        file.write_text(json.dumps(settings))
        service = Services(load_settings(file))
        try:
            yield service
        finally:
            service.engine.dispose()

    def run(self, statement: str) -> list[tuple[Any, ...]]:
        """Run SQL in the source."""
        with connect(self.conninfo, application_name="test") as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def move(
        self, where: str, *, commit: bool = True, receipt: bool = True, delete: bool = True
    ) -> PartManifest:
        """Move orders into the archive as one part.

        Args:
            where: which of them.
            commit: whether the source's transaction commits, without which the part does not count.
            receipt: whether the receipt is written.
            delete: whether the rows leave.
        """
        condition = sql.SQL(where)  # type: ignore[arg-type]
        with connect(self.conninfo, application_name="test") as connection:
            codec = table_codec(connection, "public.orders")
            manifest = self._write(codec, list(batches(connection, codec, condition, sql.SQL("order_id"))))
            data = manifest.sign(self.world.signer)
            self.store.put_bytes(manifest.key, data)
            if commit:
                with connection.transaction():
                    if delete:
                        connection.execute(sql.SQL("DELETE FROM public.orders WHERE {}").format(condition))
                    connection.execute(
                        "INSERT INTO strongroom.archived_part VALUES (%s, %s, %s, %s)",
                        (manifest.part_id, manifest.table, manifest.rows, sha256(data).hexdigest()),
                    )
            if receipt:
                said = PartReceipt(
                    manifest.part_id, "shop", manifest.table, sha256(data).hexdigest(), datetime.now(UTC)
                )
                self.store.put_bytes(f"{manifest.prefix}receipt.json", said.sign(self.world.signer))
        return manifest

    def _write(self, codec: SourceCodec, rows: list[Any]) -> PartManifest:
        now = datetime.now(UTC)
        part_id = f"{now:%Y%m%dT%H%M%SZ}-{secrets.token_hex(4)}"
        period = "2018-03"
        prefix = part_prefix("shop", "public.orders", period, part_id)
        file = io.BytesIO()
        with pq.ParquetWriter(file, codec.schema, compression="zstd") as writer:
            for batch in rows:
                writer.write_batch(batch, row_group_size=batch.num_rows)
        people = [
            ("customer", "customer_id", str(value))
            for batch in rows
            for value in batch.column("customer_id").to_pylist()
        ]
        moments = [value for batch in rows for value in batch.column("ordered_at").drop_null().to_pylist()]
        sealed = self._store(prefix + rows_name("public.orders"), [file.getvalue()], ROWS_KIND)
        index = self._store(prefix + PERSONS_NAME, person_index(people), PERSONS_KIND)
        table = PartTable(
            "public.orders",
            sum(batch.num_rows for batch in rows),
            "ordered_at",
            str(min(moments, default=None)),
            str(max(moments, default=None)),
            tuple(PartColumn(column.name, column.type_name) for column in codec.columns),
            sealed,
        )
        return PartManifest(
            part_id=part_id,
            database="shop",
            table="public.orders",
            period=period,
            method="rows",
            rule=PartRule("2y", "ordered_at", "8y", "bookkeeping"),
            policy_sha256="cd" * 32,
            source=PartSource("7000000000000000001", "shop"),
            cutoff=now,
            archived_at=now,
            delete_after=now + timedelta(days=365),
            tables=(table,),
            persons=index,
            software={"strongroom": "0.1.0"},
        )

    def _store(self, key: str, content: Iterable[bytes], kind: str) -> PartObject:
        stored: StoredObject = self.vault.store(
            OPERATOR, key, content, kind=kind, database="shop", recipients=["epoch"], compress=False
        )
        name = key.rsplit("/", 1)[1]
        return PartObject(name, stored.size_bytes, stored.sha256, stored.plaintext_bytes, stored.epoch_ids)


def make_place(directory: Path, conninfo: str, engine: Engine) -> Place:
    """An installation over a database, in a directory."""
    url = engine.url.render_as_string(hide_password=False)
    world = World(directory, conninfo, url, engine)
    world.make_keys()
    (directory / "signing.key").chmod(0o600)
    policy = directory / "shop.yaml"
    policy.write_text(POLICY)
    return Place(world, load_policy(policy), CountingStore(world.store))
