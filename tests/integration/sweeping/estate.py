"""A database whose old rows are swept, an installation that does it with public keys only, and one that can read."""

from __future__ import annotations

import io
import json
from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from psycopg import sql
from sqlalchemy import Engine, text

from strongroom.access import Actor, ActorKind, Role
from strongroom.archive import Part, SweepSummary, parts_in_force, read_marks, read_parts
from strongroom.archive.columns import file_codec
from strongroom.archive.rowsink import copy_rows
from strongroom.archive.sweeping import ArchiveParts, SealedArchiver
from strongroom.audit import QueueSink
from strongroom.clock import FixedClock
from strongroom.policy import Policy, split_table
from strongroom.postgres import Connection, connect
from strongroom.sealing import KeyRing, LocalKeyProvider, X25519Identity
from strongroom.signing import SignerKey
from strongroom.storage import LocalObjectStore, ObjectStore
from strongroom.vault import SealedVault, StoredObject, VaultParts

ACTOR = Actor("sweeper", ActorKind.TASK, frozenset({Role.OPERATOR}))
NOW = datetime(2026, 8, 24, 2, tzinfo=UTC)
RULE = {"older_than": "2y", "by": "ordered_at", "keep": "8y", "purpose": "bookkeeping"}

SHOP = """
CREATE TABLE customer (customer_id bigint PRIMARY KEY, email text NOT NULL);
CREATE TABLE orders (
    order_id bigint PRIMARY KEY, customer_id bigint NOT NULL REFERENCES customer, ordered_at timestamptz,
    total numeric(12, 2) NOT NULL, note text);
CREATE TABLE line (
    order_id bigint NOT NULL REFERENCES orders, number int, ordered_at timestamptz, amount numeric,
    PRIMARY KEY (order_id, number));
CREATE TABLE ticket (ticket_id bigint PRIMARY KEY, order_id bigint REFERENCES orders);
INSERT INTO customer SELECT g, 'Person' || g || '@Example.org' FROM generate_series(1, 50) g;
INSERT INTO orders SELECT g, 1 + g % 50, timestamptz '2024-07-10 12:00+00' + g * interval '12 hours',
       g * 1.01, CASE WHEN g % 7 = 0 THEN NULL ELSE 'note ' || g END FROM generate_series(1, 200) g;
INSERT INTO line SELECT o.order_id, n, o.ordered_at, n / 3.0 FROM orders o, generate_series(1, 3) n;
"""


OWNED = [{"columns": ["customer_id"], "to": "public.customer", "kind": "owns"}]
ORDERS = {"not_personal": ["order_id", "ordered_at", "total", "note"], "links": OWNED, "archive": RULE}
LINE = {
    "not_personal": ["number", "ordered_at", "amount"],
    "links": [{"columns": ["order_id"], "to": "public.orders", "kind": "owns"}],
    "archive": RULE,
}


def shop_policy(**tables: dict[str, Any]) -> Policy:
    """The shop's policy; a table's entry can be replaced by keyword."""
    return Policy.model_validate_json(json.dumps(shop_document(**tables)))


def shop_document(**tables: dict[str, Any]) -> dict[str, Any]:
    """The shop's policy as its file says it."""
    entries: dict[str, dict[str, Any]] = {
        "public.customer": {
            "purpose": ["bookkeeping"],
            "columns": {
                "customer_id": {"category": "user.unique_id", "erase": "with_row"},
                "email": {"category": "user.contact.email", "erase": "random_email"},
            },
        },
        "public.orders": ORDERS,
        "public.line": LINE,
        "public.ticket": {
            "not_personal": ["ticket_id"],
            "links": [{"columns": ["order_id"], "to": "public.orders", "kind": "lookup"}],
        },
    }
    entries |= {f"public.{name}": entry for name, entry in tables.items()}
    return {
        "database": "shop",
        "controller": {"name": "Shop"},
        "backup": {"schedule": "0 2 * * *", "method": "logical"},
        "purposes": {"bookkeeping": {"lawful_basis": "legal_obligation"}},
        "subjects": {
            "customer": {
                "table": "public.customer",
                "identifiers": {
                    "customer_id": {"column": "customer_id", "direct": False},
                    "email": {"column": "email", "direct": True, "normalise": "email"},
                },
            }
        },
        "tables": {name: entry for name, entry in entries.items() if entry},
    }


@dataclass(frozen=True)
class Estate:
    """The database, the bucket, the keys."""

    directory: Path
    conninfo: str
    engine: Engine
    store: ObjectStore
    policy: Policy = field(default_factory=shop_policy)
    clock: FixedClock = field(default_factory=lambda: FixedClock(NOW))

    @property
    def signer(self) -> SignerKey:
        return SignerKey.parse((self.directory / "signing.key").read_text())

    def make_keys(self) -> None:
        signing_key = self.directory / "signing.key"
        signing_key.touch(mode=0o600)
        signing_key.write_text(SignerKey.generate("strongroom.test").encode())
        provider = LocalKeyProvider.generate(self.directory / "local.key")
        keyring = KeyRing(self.store, self.signer.verifier, self.clock)
        keyring.create_epoch(purpose="backup", provider=provider, signer=self.signer)
        keyring.add_escrow(str(X25519Identity.generate().recipient), self.signer)

    def vault(self, *, reading: bool, store: ObjectStore | None = None) -> SealedVault:
        bucket = store or self.store
        keyring = KeyRing(bucket, self.signer.verifier, self.clock)
        provider = LocalKeyProvider(self.directory / "local.key") if reading else None
        return SealedVault(
            VaultParts(bucket, keyring, provider, self.engine, QueueSink(self.clock), self.clock)
        )

    def archiver(self, *, part_rows: int = 1_000_000, store: ObjectStore | None = None) -> SealedArchiver:
        """Sweeps on a host that holds public keys only."""
        bucket = store or self.store
        vault = self.vault(reading=False, store=bucket)
        parts = ArchiveParts(bucket, vault, self.engine, QueueSink(self.clock), self.signer, self.clock)
        return SealedArchiver(parts, part_rows)

    def sweep(self, table: str = "public.orders", **options: Any) -> SweepSummary:
        return self.archiver().sweep(ACTOR, self.policy, self.conninfo, table, **options)

    def under(self, policy: Policy) -> Estate:
        """The same under another policy."""
        return replace(self, policy=policy)

    def connect(self) -> Connection:
        connection = connect(self.conninfo, application_name="test")
        connection.execute("SET search_path = public")
        return connection

    def run(self, statement: str, *values: object) -> list[Any]:
        with self.connect() as connection:
            cursor = connection.execute(statement.encode(), values or None)
            return cursor.fetchall() if cursor.description else []

    def parts(self) -> list[Part]:
        """The parts whose rows have left, as the source says."""
        with self.connect() as connection:
            marks = read_marks(connection)
        return parts_in_force(read_parts(self.store, self.signer.verifier, "shop"), marks)

    def content(self, reference: StoredObject) -> bytes:
        """A sealed object, opened where there is a private key."""
        with self.vault(reading=True).fetch(ACTOR, reference.key, expect=reference) as opened:
            return b"".join(bytes(piece) for piece in opened)

    def live(self, table: str) -> Counter[str]:
        """The table's rows, as text."""
        return Counter(row[0] for row in self.run(f"SELECT t::text FROM {table} t"))

    def archived(self, table: str) -> Counter[str]:
        """The table's rows that left, brought back into a table of the same form, as text."""
        found: Counter[str] = Counter()
        with self.connect() as connection:
            name = sql.Identifier(*split_table(table))
            for part in self.parts():
                reference = part.manifest.stored_rows(table)
                if reference is None:
                    continue
                parquet = pq.ParquetFile(io.BytesIO(self.content(reference)))
                connection.execute(
                    sql.SQL("CREATE TEMP TABLE back (LIKE {} INCLUDING GENERATED)").format(name)
                )
                codec = file_codec(parquet.schema_arrow, reference.key)
                copy_rows(connection, sql.Identifier("back"), codec, parquet.iter_batches())
                found.update(row[0] for row in connection.execute("SELECT b::text FROM back b"))
                connection.execute("DROP TABLE back")
        return found

    def everything(self, *tables: str) -> Counter[str]:
        """Live and archived rows together."""
        whole: Counter[str] = Counter()
        for table in tables or ("public.orders", "public.line"):
            whole += self.live(table)
            whole += self.archived(table)
        return whole

    def events(self) -> list[dict[str, Any]]:
        with self.engine.connect() as connection:
            rows = connection.execute(text("SELECT entry FROM audit_queue ORDER BY id")).scalars()
            return [json.loads(bytes(row)) for row in rows]


def local_estate(directory: Path, conninfo: str, engine: Engine) -> Estate:
    """An estate with its bucket in a directory."""
    estate = Estate(directory, conninfo, engine, LocalObjectStore(directory / "bucket"))
    estate.make_keys()
    return estate
