"""Whatever is wrong with a backup is found on the level that can see it, with a message that says what to do."""

from __future__ import annotations

import json

import pytest

from strongroom.backup import manifest_key
from strongroom.backup.verification import Proof, Status, VerificationChecks
from strongroom.backup.verification.levels import LADDER, Level
from strongroom.backup.verification.run import RestoreRun
from strongroom.postgres import connect
from strongroom.sealing import LocalKeyProvider
from strongroom.vault import NoPrivateKeyError
from tests.integration.verification.place import Meddling, Place, after

QUICK = VerificationChecks(amcheck=False)


def _failed(proof: Proof) -> dict[str, str]:
    """The failed checks with their details, by level; the first of each level."""
    found: dict[str, str] = {}
    for level, check in proof.problems():
        if check.status is Status.FAILED:
            found.setdefault(level, f"{check.name}: {check.detail}")
    return found


def test_a_deleted_object_is_missed_before_anything_is_fetched(place: Place) -> None:
    place.store.delete_version(place.item("wal").key, None)
    proof = place.verify()
    assert list(_failed(proof)) == ["L0"]
    assert "wal.tar.zst.age is not in the bucket" in _failed(proof)["L0"]
    assert "take a new one" in _failed(proof)["L0"]
    skipped = {level.level for level in proof.levels if level.status is Status.SKIPPED}
    assert skipped == {"L1", "L2", "L3", "L4", "L5"}


def test_a_truncated_object_is_found_by_its_size(place: Place) -> None:
    key = place.item("base").key
    place.rewrite(key, place.store.get_bytes(key, max_bytes=1 << 30)[:-100])
    assert "bytes instead of" in _failed(place.verify())["L0"]


@pytest.mark.parametrize("role", ["base", "wal", "fingerprints"])
def test_one_flipped_bit_is_found_and_told_from_a_wrong_key(place: Place, role: str) -> None:
    key = place.item(role).key
    data = bytearray(place.store.get_bytes(key, max_bytes=1 << 30))
    data[len(data) // 2] ^= 0x10
    place.rewrite(key, bytes(data))
    failed = _failed(place.verify())
    assert list(failed) == ["L0", "L1"]
    assert "other bytes than the backup wrote" in failed["L0"]


def test_an_object_swapped_with_another_of_the_same_size_is_found(place: Place) -> None:
    """The other object is genuine, of the same installation; only its place is wrong."""
    base, wal = place.item("base"), place.item("wal")
    other = place.store.get_bytes(base.key, max_bytes=1 << 30)
    place.rewrite(wal.key, other[: wal.size_bytes] + bytes(max(0, wal.size_bytes - len(other))))
    failed = _failed(place.verify())
    assert "wal.tar.zst.age" in failed["L0"]
    assert "ContextMismatchError" in failed["L1"]


def test_an_edited_manifest_is_not_believed_and_nothing_is_fetched(place: Place) -> None:
    key = manifest_key("shop", place.backup_id)
    document = json.loads(place.store.get_bytes(key))
    document["restore_point"]["name"] = "somewhere_else"
    place.rewrite(key, json.dumps(document).encode())
    failed = _failed(place.verify())
    assert list(failed) == ["L1"]
    assert "SignatureError" in failed["L1"]


def test_the_wrong_key_fails_the_proof_and_a_host_without_keys_is_told_so(place: Place) -> None:
    other = LocalKeyProvider.generate(place.directory / "other.key")
    failed = _failed(place.verify(provider=other))
    assert "KeyUnwrapError" in failed["L1"]
    assert "escrow" in failed["L1"]
    with pytest.raises(NoPrivateKeyError, match="public keys only"):
        place.verify(with_key=False)


def test_a_lost_key_record_fails_the_proof(place: Place) -> None:
    for epoch_id in place.item("base").epoch_ids:
        place.store.delete_version(f"keys/{epoch_id}.json", None)
    assert "L1" in _failed(place.verify())


def _lose_segment(restore: RestoreRun) -> None:
    last = max(path for path in restore.wal_dir.iterdir())
    last.unlink()


def test_a_missing_wal_segment_is_named(place: Place) -> None:
    failed = _failed(place.verify(levels=after("L1", _lose_segment)))
    assert list(failed) == ["L2"]
    assert "WAL segment 0000000100000000" in failed["L2"]
    assert "is missing" in failed["L2"]


def test_recovery_that_ends_before_the_restore_point_is_no_recovery(place: Place) -> None:
    """The second line of defence: PostgreSQL itself would have started, short of data, without the target."""
    levels: list[Level] = [level for level in after("L1", _lose_segment) if level.name != "L2"]
    failed = _failed(place.verify(levels=levels))
    assert list(failed) == ["L3"]
    assert "ends before the restore point" in failed["L3"]


def _change_file(restore: RestoreRun) -> None:
    path = next(path for path in (restore.scratch.data_dir / "base").rglob("*") if path.is_file())
    path.write_bytes(path.read_bytes() + b"\0" * 8192)


def test_a_changed_file_is_found_by_the_servers_own_manifest(place: Place) -> None:
    failed = _failed(place.verify(levels=after("L2", _change_file)))
    assert list(failed) == ["L3"]
    assert "pg_verifybackup" in failed["L3"]


def _change_row(restore: RestoreRun) -> None:
    assert restore.cluster is not None
    with connect(restore.cluster.conninfo("shop"), application_name="test") as connection:
        connection.execute("UPDATE public.customer SET note = 'x' || note WHERE customer_id = 17")
        connection.execute("DELETE FROM public.orders WHERE order_id = 3")


def test_a_row_changed_by_hand_is_found_by_the_fingerprints(place: Place) -> None:
    failed = _failed(place.verify(QUICK, levels=after("L4", _change_row)))
    assert list(failed) == ["L5"]
    assert "shop.public.customer has other content in its 5000 rows" in failed["L5"]
    assert "shop.public.orders_2025 has 1999 rows instead of 2000" in failed["L5"]
    assert "Do not restore from this backup" in failed["L5"]


def _break_index(restore: RestoreRun) -> None:
    """Leave a row out of an index, which no checksum, dump or start of the server can see."""
    assert restore.cluster is not None
    index = "'public.customer_email'::regclass"
    state = f"UPDATE pg_catalog.pg_index SET indisready = %s, indisvalid = %s WHERE indexrelid = {index}"
    with connect(restore.cluster.conninfo("shop"), application_name="test") as connection:
        connection.execute(state.encode(), (False, False))
        connection.execute("INSERT INTO public.customer VALUES (0, 'zero@example.org')")
        connection.execute(state.encode(), (True, True))


def test_a_corrupted_index_is_found_by_amcheck_alone(place: Place) -> None:
    wanted = VerificationChecks(fingerprints="none")
    proof = place.verify(wanted, levels=after("L3", _break_index))
    assert list(_failed(proof)) == ["L4"]
    assert "amcheck: corruption found in customer" in _failed(proof)["L4"]
    level = next(level for level in proof.levels if level.level == "L4")
    assert {check.name: check.status for check in level.checks}["page checksums"] is Status.PASSED


def _break_page(restore: RestoreRun) -> None:
    assert restore.cluster is not None
    with connect(restore.cluster.conninfo("shop"), application_name="test") as connection:
        row = connection.execute("SELECT pg_relation_filepath('public.picture')").fetchone()
        assert row is not None
    restore.cluster.stop()
    with (restore.scratch.data_dir / str(row[0])).open("r+b") as file:
        file.seek(5000)
        file.write(b"scribble")
    restore.cluster.start()


def test_a_damaged_page_is_found_by_its_checksum(place: Place) -> None:
    failed = _failed(place.verify(QUICK, levels=after("L3", _break_page)))
    assert "page checksums" in failed["L4"]


def _lose_server(restore: RestoreRun) -> None:
    assert restore.cluster is not None
    restore.cluster.stop("immediate")


def test_a_scratch_server_that_dies_fails_the_proof(place: Place) -> None:
    failed = _failed(place.verify(QUICK, levels=[*after("L3", _lose_server)[:5], LADDER[5]]))
    assert "scratch server: it stopped answering" in failed["L5"]


def test_an_error_in_a_level_leaves_nothing_behind(place: Place) -> None:
    def burst(_restore: RestoreRun) -> None:
        raise RuntimeError("unexpected")

    with pytest.raises(RuntimeError, match="unexpected"):
        place.verify(QUICK, levels=[*LADDER[:4], Meddling(burst)])
    assert place.left_over() == []
