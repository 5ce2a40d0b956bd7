"""Events get in with their transaction, get their place once, and are published so that anyone can check."""

from __future__ import annotations

import json
from datetime import timedelta
from importlib import import_module
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from strongroom.access import Actor, ActorKind
from strongroom.audit import (
    AuditLog,
    Checkpoint,
    CheckpointError,
    EntryNotFoundError,
    ProofError,
    QueueSink,
    check_extends,
    check_proof,
    open_checkpoint,
    prove,
    verify_log,
)
from strongroom.audit.database import sealing_session
from strongroom.clock import SystemClock
from strongroom.signing import SignerKey
from strongroom.storage import ObjectLockedError, S3ObjectStore
from tests.integration.audit.conftest import LogUnderTest, object_event


def test_an_event_of_a_transaction_that_rolls_back_never_was(subject: LogUnderTest) -> None:
    with subject.engine.connect() as connection:
        QueueSink(subject.clock).emit(connection, object_event(1))
        connection.rollback()
    assert subject.log().seal().size == 0


@pytest.mark.parametrize("count", [1, 255, 256, 257, 700])
def test_a_sealed_log_checks_out_from_the_bucket_alone(subject: LogUnderTest, count: int) -> None:
    subject.record(count)
    report = subject.log().seal()
    verified = verify_log(subject.store, subject.signer.verifier)
    assert (report.sealed, report.size, report.root) == (count, verified.size, verified.root)
    assert verified.size == count


def test_a_log_sealed_in_many_steps_has_the_root_of_one_sealed_at_once(subject: LogUnderTest) -> None:
    notes = []
    for count in (1, 3, 252, 1, 300, 0, 17):
        subject.record(count)
        subject.log().seal()
        notes.append(subject.store.get_bytes("log/checkpoint").decode())
        verify_log(subject.store, subject.signer.verifier)
    for note in notes:
        assert check_extends(subject.store, subject.signer.verifier, note).size == 574


def test_the_empty_log_has_a_signed_head_too(subject: LogUnderTest) -> None:
    with pytest.raises(CheckpointError, match="no published audit log"):
        verify_log(subject.store, subject.signer.verifier)
    subject.log().seal()
    assert verify_log(subject.store, subject.signer.verifier).size == 0


def test_an_independent_verifier_agrees(subject: LogUnderTest) -> None:
    from tlog_scales.backend import LocalBackend
    from tlog_scales.reader import TilesReader
    from tlog_scales.signing import Vkey
    from tlog_scales.tiles import leaf_hash

    subject.record(300)
    subject.log().seal()
    old = subject.log().head()
    subject.record(333)
    subject.log().seal()
    reader = TilesReader(LocalBackend(subject.directory / "log"))
    head = reader.get_checkpoint()
    head.verify(Vkey.from_string(str(subject.signer.verifier)))
    assert head.size == 633
    assert reader.calculate_root_hash() == head.root_hash == subject.log().head().root
    for index in (0, 255, 256, 632):
        entry = reader.get_entry(index)
        reader.get_inclusion_proof(index, 633).check(leaf_hash(entry), head.root_hash)
    reader.get_consistency_proof(300, 633).check(old.root, head.root_hash)


def test_one_event_is_proven_without_the_log(subject: LogUnderTest) -> None:
    ids = subject.record(300)
    subject.log().seal()
    for event in (ids[77], 299, 0):
        proof = prove(subject.store, subject.signer.verifier, event)
        proven = check_proof(proof, subject.signer.verifier)
        assert json.loads(proven.entry)["type"] == "backup:object:write"
    proof = prove(subject.store, subject.signer.verifier, ids[77])
    assert json.loads(check_proof(proof, subject.signer.verifier).entry)["id"] == str(ids[77])
    with pytest.raises(ProofError):
        check_proof(proof, subject.signer.verifier, b"another entry")
    with pytest.raises(ProofError):
        check_proof(proof.replace("index 77", "index 78"), subject.signer.verifier)
    with pytest.raises(CheckpointError):
        check_proof(proof, SignerKey.generate("test.example/log").verifier)


def test_an_event_that_is_not_published_has_no_proof(subject: LogUnderTest) -> None:
    subject.record(3)
    subject.log().seal()
    (late,) = subject.record(1)
    with pytest.raises(EntryNotFoundError):
        prove(subject.store, subject.signer.verifier, late)
    with pytest.raises(EntryNotFoundError):
        prove(subject.store, subject.signer.verifier, 3)


def test_a_sealer_does_not_wait_for_another(subject: LogUnderTest) -> None:
    subject.record(5)
    with sealing_session(subject.engine):
        report = subject.log().seal()
    assert report.busy
    assert report.sealed == 0
    assert subject.log().seal().sealed == 5
    here = "(SELECT oid FROM pg_database WHERE datname = current_database())"
    locks = f"SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND database = {here}"
    assert subject.scalar(locks) == 0


def test_sealing_nothing_new_writes_nothing(subject: LogUnderTest) -> None:
    subject.record(5)
    subject.log().seal()
    before = subject.store.head("log/checkpoint")
    assert subject.log().seal().sealed == 0
    assert subject.store.head("log/checkpoint") == before


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_entry SET entry = '{}'",
        "DELETE FROM audit_entry",
        "TRUNCATE audit_entry",
        "UPDATE audit_queue SET entry = '{}'",
        "DELETE FROM audit_queue",
        "TRUNCATE audit_queue",
        "UPDATE audit_state SET size = 0",
        "DELETE FROM audit_state",
        "UPDATE audit_tile SET data = data",
        "DELETE FROM audit_tile",
        "INSERT INTO audit_entry VALUES (9, '{}', sha256(''), gen_random_uuid())",
    ],
)
def test_the_tables_refuse_to_forget(subject: LogUnderTest, statement: str) -> None:
    subject.record(2)
    subject.log().seal()
    subject.record(1)
    with pytest.raises(DBAPIError, match=r"append-only|only sealing"), subject.engine.begin() as connection:
        connection.execute(text(statement))


def test_the_application_role_can_add_events_and_nothing_else(subject: LogUnderTest) -> None:
    with subject.engine.begin() as connection:
        connection.execute(text("CREATE ROLE strongroom_app"))
        migration = import_module("strongroom.catalog.migrations.versions.0002_audit")
        connection.exec_driver_sql(migration._PRIVILEGES)
    person = Actor("dana", ActorKind.PERSON, frozenset(), host="worker-1")
    try:
        with subject.engine.begin() as connection:
            connection.execute(text("SET LOCAL ROLE strongroom_app"))
            QueueSink(subject.clock).emit(connection, object_event(1, person))
        for statement in ("SELECT * FROM audit_queue", "INSERT INTO audit_state (root) VALUES (sha256(''))"):
            with subject.engine.connect() as connection:
                connection.execute(text("SET LOCAL ROLE strongroom_app"))
                with pytest.raises(DBAPIError, match="permission denied"):
                    connection.execute(text(statement))
    finally:
        with subject.engine.begin() as connection:
            connection.execute(text("DROP OWNED BY strongroom_app; DROP ROLE strongroom_app"))


def test_a_person_appears_as_a_commitment_that_can_be_forgotten(subject: LogUnderTest) -> None:
    person = Actor("dana.doe", ActorKind.PERSON, frozenset(), host="worker-1")
    with subject.engine.begin() as connection:
        for number in range(2):
            QueueSink(subject.clock).emit(connection, object_event(number, person))
    subject.log().seal()
    with subject.engine.begin() as connection:
        connection.execute(text("DELETE FROM audit_person"))
        QueueSink(subject.clock).emit(connection, object_event(3, person))
    subject.log().seal()
    content = b"".join(path.read_bytes() for path in (subject.directory / "log").rglob("*") if path.is_file())
    assert b"dana" not in content
    names = [json.loads(entry)["data"]["actor"]["name"] for entry in _entries(subject)]
    assert names[0] == names[1] != names[2]
    verify_log(subject.store, subject.signer.verifier)


def test_what_is_no_event_is_set_aside_and_that_is_recorded(subject: LogUnderTest) -> None:
    ids = subject.record(2)
    subject.log().seal()
    with subject.engine.begin() as connection:
        for entry, event_id in (
            (b'{"not": "canonical"}', "gen_random_uuid()"),
            (b"\xff\xfe", "gen_random_uuid()"),
            (_entries(subject)[0], f"'{ids[0]}'"),
        ):
            statement = text(f"INSERT INTO audit_queue (entry, event_id) VALUES (:entry, {event_id})")
            connection.execute(statement, {"entry": entry})
    subject.record(1)
    assert subject.log().seal().size == 2 + 1 + 3
    assert subject.scalar("SELECT count(*) FROM audit_rejected") == 3
    assert verify_log(subject.store, subject.signer.verifier).size == 6
    types = [json.loads(entry)["type"] for entry in _entries(subject)]
    assert types.count("audit:entry:reject") == 3


def test_entries_larger_than_a_batch_are_all_sealed(
    subject: LogUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    from strongroom.audit import database, sequencer

    for module in (database, sequencer):
        monkeypatch.setattr(module, "MAX_BATCH_ENTRIES", 100)
    subject.record(1050)
    assert subject.log().seal().sealed == 1050
    monkeypatch.setattr(database, "MAX_BATCH_BYTES", 40_000)
    monkeypatch.setattr(sequencer, "MAX_BATCH_BYTES", 40_000)
    subject.record(500)
    assert subject.log().seal().sealed == 500
    assert verify_log(subject.store, subject.signer.verifier).size == 1550


def test_the_checkpoint_is_the_form_that_everybody_reads(subject: LogUnderTest, tmp_path: Path) -> None:
    subject.record(1)
    subject.log().seal()
    note = (subject.directory / "log" / "checkpoint").read_text()
    lines = note.split("\n")
    assert lines[0] == "test.example/log"
    assert lines[1] == "1"
    assert lines[3] == ""
    assert lines[4].startswith("— test.example/log ")
    assert isinstance(open_checkpoint(note, subject.signer.verifier), Checkpoint)
    other = SignerKey.generate("test.example/log").verifier
    for broken in (note.replace("\n1\n", "\n2\n"), note.replace("\n\n", "\n"), note + "x", "", note[:-1]):
        with pytest.raises(CheckpointError):
            open_checkpoint(broken, subject.signer.verifier)
    with pytest.raises(CheckpointError):
        open_checkpoint(note, other)


def test_a_log_in_a_real_bucket_checks_out_and_is_locked(
    subject: LogUnderTest, s3_store: S3ObjectStore
) -> None:
    clock = SystemClock()
    log = AuditLog(subject.engine, s3_store, subject.signer, clock, retention=timedelta(minutes=1))
    for count in (300, 5):
        subject.record(count)
        assert log.seal().sealed == count
    verifier = subject.signer.verifier
    assert verify_log(s3_store, verifier).size == 305
    assert check_proof(prove(s3_store, verifier, 304), verifier).index == 304
    versions = [info for info in s3_store.list_versions("log/") if info.key == "log/checkpoint"]
    assert len(versions) == 2
    for info in versions:
        with pytest.raises(ObjectLockedError):
            s3_store.delete_version(info.key, info.version_id)


def _entries(subject: LogUnderTest) -> list[bytes]:
    with subject.engine.connect() as connection:
        found = connection.execute(text("SELECT entry FROM audit_entry ORDER BY seq")).scalars()
        return [bytes(entry) for entry in found]
