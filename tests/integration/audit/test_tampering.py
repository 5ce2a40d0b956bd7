"""Whoever changes history is found: in the bucket by anybody, in the control database by the next seal."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from sqlalchemy import Engine, text

from strongroom.audit import (
    CheckpointError,
    EntryError,
    LogForkedError,
    LogIntegrityError,
    LogRolledBackError,
    ProofError,
    SealInterruptedError,
    TileError,
    check_extends,
    verify_log,
)
from strongroom.audit.checkpoint import Checkpoint
from strongroom.audit.tiles import pack_bundle, unpack_bundle
from strongroom.signing import SignerKey
from strongroom.storage import Condition
from tests.integration.audit.conftest import LogUnderTest

Rewrite = Callable[[str, Callable[[bytes], bytes]], None]
TABLES = ("audit_queue", "audit_entry", "audit_tile", "audit_state", "audit_rejected")


def as_superuser(engine: Engine, *statements: str) -> None:
    """What somebody does who can switch the triggers off."""
    with engine.begin() as connection:
        connection.execute(text("SET LOCAL session_replication_role = replica"))
        for statement in statements:
            connection.execute(text(statement))


def keep_yesterday(engine: Engine) -> None:
    as_superuser(engine, *(f"CREATE TABLE kept_{table} AS TABLE {table}" for table in TABLES))


def restore_yesterday(engine: Engine) -> None:
    for table in TABLES:
        overriding = "OVERRIDING SYSTEM VALUE" if table == "audit_queue" else ""
        as_superuser(
            engine, f"DELETE FROM {table}", f"INSERT INTO {table} {overriding} SELECT * FROM kept_{table}"
        )


@pytest.fixture
def sealed(subject: LogUnderTest) -> LogUnderTest:
    """A log of 700 published entries."""
    subject.record(700)
    subject.log().seal()
    return subject


def verify(subject: LogUnderTest) -> None:
    verify_log(subject.store, subject.signer.verifier)


def test_an_entry_edited_in_the_bucket_is_named(sealed: LogUnderTest, rewrite: Rewrite) -> None:
    rewrite("log/tile/entries/001", lambda data: data.replace(b"backups/shop/300", b"backups/shop/999"))
    with pytest.raises(EntryError, match="Entry 300 .* altered"):
        verify(sealed)


def test_a_tile_edited_in_the_bucket_is_named(sealed: LogUnderTest, rewrite: Rewrite) -> None:
    for key in ("log/tile/0/001", "log/tile/0/002.p/188", "log/tile/1/000.p/2"):
        rewrite(key, lambda data: data[:-1] + bytes([data[-1] ^ 1]))
        with pytest.raises(TileError, match=re.escape(key.removeprefix("log/"))):
            verify(sealed)
        rewrite(key, lambda data: data[:-1] + bytes([data[-1] ^ 1]))
    verify(sealed)


def test_an_entry_edited_together_with_its_tiles_gives_another_root(
    sealed: LogUnderTest, rewrite: Rewrite
) -> None:
    from strongroom.audit.merkle import leaf_hash

    entries = unpack_bundle(sealed.store.get_bytes("log/tile/entries/002.p/188"), 188, "")
    entries[-1] = entries[-1].replace(b"success", b"failure")
    rewrite("log/tile/entries/002.p/188", lambda _: pack_bundle(entries))
    rewrite("log/tile/0/002.p/188", lambda data: data[:-32] + leaf_hash(entries[-1]))
    with pytest.raises(CheckpointError, match="another root"):
        verify(sealed)


@pytest.mark.parametrize(
    ("key", "error"),
    [
        ("log/tile/entries/001", EntryError),
        ("log/tile/0/001", TileError),
        ("log/tile/1/000.p/2", TileError),
        ("log/checkpoint", CheckpointError),
    ],
)
def test_a_missing_object_is_named(sealed: LogUnderTest, key: str, error: type[Exception]) -> None:
    sealed.store.delete_version(key, None)
    with pytest.raises(error):
        verify(sealed)


def test_a_truncated_bundle_is_found(sealed: LogUnderTest, rewrite: Rewrite) -> None:
    rewrite("log/tile/entries/000", lambda data: data[:-1])
    with pytest.raises(EntryError, match="entries/000"):
        verify(sealed)


def test_a_checkpoint_of_another_key_does_not_count(sealed: LogUnderTest, rewrite: Rewrite) -> None:
    forger = SignerKey.generate(sealed.signer.verifier.name)
    head = sealed.log().head()
    rewrite("log/checkpoint", lambda _: head.sign(forger).encode())
    with pytest.raises(CheckpointError, match="no signature of the trusted key"):
        verify(sealed)
    with pytest.raises(CheckpointError):
        sealed.log().seal()


def test_one_event_sequenced_twice_by_the_key_holder_is_found(sealed: LogUnderTest, rewrite: Rewrite) -> None:
    from strongroom.audit.merkle import leaf_hash
    from strongroom.audit.tiles import TreeEdge

    entries = unpack_bundle(sealed.store.get_bytes("log/tile/entries/000"), 256, "")[:2]
    entries.append(entries[0])
    edge = TreeEdge()
    list(edge.append(map(leaf_hash, entries)))
    store = sealed.store
    store.put_bytes("log/tile/entries/000.p/3", pack_bundle(entries))
    store.put_bytes("log/tile/0/000.p/3", b"".join(map(leaf_hash, entries)))
    note = Checkpoint(sealed.signer.verifier.name, 3, edge.root()).sign(sealed.signer)
    rewrite("log/checkpoint", lambda _: note.encode())
    with pytest.raises(EntryError, match="Entry 2 .* repeats"):
        verify(sealed)


def test_a_control_database_from_yesterday_is_refused_and_can_be_recovered(subject: LogUnderTest) -> None:
    subject.record(300)
    subject.log().seal()
    subject.record(20)
    keep_yesterday(subject.engine)
    subject.record(400)
    subject.log().seal()
    published = subject.store.get_bytes("log/checkpoint")
    everything = subject.event_ids()

    restore_yesterday(subject.engine)
    subject.record(7)
    with pytest.raises(LogRolledBackError, match=r"knows 300 .* 720 are published") as caught:
        subject.log().seal()
    assert "audit recover" in str(caught.value.hint)
    assert subject.store.get_bytes("log/checkpoint") == published
    assert subject.scalar("SELECT count(*) FROM audit_entry") == 300

    report = subject.log().recover()
    assert (report.recovered, report.size) == (420, 720)
    assert subject.event_ids() == everything
    assert subject.log().seal().size == 720 + 7 + 1
    assert check_extends(subject.store, subject.signer.verifier, published.decode()).size == 728
    verify(subject)


def test_an_empty_control_database_does_not_start_a_published_log_anew(sealed: LogUnderTest) -> None:
    as_superuser(
        sealed.engine,
        "DELETE FROM audit_entry",
        "DELETE FROM audit_tile",
        "UPDATE audit_state SET size = 0, root = sha256(''), checkpoint = NULL, published_size = 0",
    )
    with pytest.raises(LogRolledBackError):
        sealed.log().seal()
    assert sealed.log().recover().recovered == 700
    sealed.log().seal()
    verify(sealed)


def test_a_second_history_of_the_same_size_is_refused(subject: LogUnderTest) -> None:
    subject.record(10)
    subject.log().seal()
    keep_yesterday(subject.engine)
    subject.record(5)
    subject.log().seal()
    checkpoint = subject.store.get_bytes("log/checkpoint")
    restore_yesterday(subject.engine)
    other = LogUnderTest(subject.engine, subject.directory.with_name("other"), subject.signer, subject.clock)
    subject.record(5)
    as_superuser(subject.engine, "UPDATE audit_state SET published_size = 0")
    other.log().seal()  # somebody pointed the restored database at an empty bucket
    for count in (0, 5):
        subject.record(count)
        with pytest.raises(LogForkedError, match="two histories"):
            subject.log().seal()
    with pytest.raises(ProofError):
        check_extends(other.store, subject.signer.verifier, checkpoint.decode())


def test_a_bucket_that_was_set_back_is_refused(sealed: LogUnderTest, rewrite: Rewrite) -> None:
    older = sealed.store.get_bytes("log/checkpoint")
    sealed.record(5)
    sealed.log().seal()
    rewrite("log/checkpoint", lambda _: older)
    with pytest.raises(LogForkedError, match="set back"):
        sealed.log().seal()
    sealed.store.delete_version("log/checkpoint", None)
    with pytest.raises(LogForkedError, match="set back"):
        sealed.log().seal()


def test_an_entry_edited_in_the_control_database_is_found_before_it_is_published(
    sealed: LogUnderTest,
) -> None:
    as_superuser(sealed.engine, "UPDATE audit_entry SET entry = '{}' WHERE seq = 650")
    sealed.record(1)
    with pytest.raises(EntryError, match="Entry 650 .* control database"):
        sealed.log().seal()
    verify(sealed)


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM audit_entry WHERE seq = 699",
        "UPDATE audit_tile SET data = overlay(data PLACING '\\x00'::bytea FROM 5) WHERE level = 1",
        "UPDATE audit_tile SET data = overlay(data PLACING '\\x00'::bytea FROM 5) WHERE level = 0 AND index = 2",
        "UPDATE audit_state SET root = sha256('x')",
        "UPDATE audit_state SET size = 701",
    ],
)
def test_tables_that_contradict_one_another_are_not_sealed(sealed: LogUnderTest, statement: str) -> None:
    as_superuser(sealed.engine, statement)
    with pytest.raises(LogIntegrityError):
        sealed.log().seal()


def test_something_else_under_a_tiles_name_is_not_signed_over(subject: LogUnderTest) -> None:
    subject.store.put_bytes("log/tile/entries/000.p/3", b"somebody else's")
    subject.record(3)
    with pytest.raises(LogForkedError, match=r"entries/000\.p/3"):
        subject.log().seal()
    assert subject.log().head().size == 0


def test_a_checkpoint_replaced_meanwhile_is_not_overwritten(subject: LogUnderTest) -> None:
    subject.record(3)
    subject.log().seal()
    store = subject.store
    note = store.get_bytes("log/checkpoint")
    stale = store.head("log/checkpoint").etag
    store.put_bytes("log/checkpoint", note + b"\n", condition=Condition.OVERWRITE)
    from strongroom.audit.publisher import publish_checkpoint

    with pytest.raises(SealInterruptedError):
        publish_checkpoint(store, note.decode(), stale, None)
    with pytest.raises(SealInterruptedError):
        publish_checkpoint(store, note.decode(), None, None)
