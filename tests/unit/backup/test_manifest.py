"""A manifest says all of it, is signed, and is believed only when every part is what it must be."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from strongroom.backup import (
    BackupManifest,
    ChainLink,
    ManifestError,
    ManifestObject,
    RestorePoint,
    ServerFacts,
    read_manifest,
)
from strongroom.backup.manifest import parse_manifest
from strongroom.signing import SignatureError, SignerKey, VerifierKey

ID = "20260824T020000Z-1f3a"
SIGNER = SignerKey.generate("strongroom.example")


def _object(name: str, role: Any) -> ManifestObject:
    return ManifestObject(name, role, f"backups/shop/{ID}/{name}", 10, "ab" * 32, 20, ("epoch-1", "escrow-1"))


def manifest() -> BackupManifest:
    return BackupManifest(
        backup_id=ID,
        database="shop",
        method="physical",
        kind="full",
        started_at=datetime(2026, 8, 24, 2, 0, 0, 5, tzinfo=UTC),
        finished_at=datetime(2026, 8, 24, 2, 5, tzinfo=UTC),
        server=ServerFacts("18.6", 18, "7541234567890123456", 1, 16777216, True),
        start_lsn="0/2000028",
        stop_lsn="0/2000120",
        restore_point=RestorePoint(f"strongroom_{ID}", "0/3000060"),
        objects=(_object("base.tar.zst.age", "base"), _object("wal.tar.zst.age", "wal")),
        policy_sha256="cd" * 32,
        fencing_number=3,
        software={"strongroom": "0.1.0"},
    )


def altered(**members: Any) -> dict[str, Any]:
    document = manifest().document() | members
    return {name: value for name, value in document.items() if value is not ...}


def test_a_signed_manifest_reads_back_the_same() -> None:
    assert read_manifest(manifest().sign(SIGNER), SIGNER.verifier) == manifest()


def test_an_edited_manifest_is_refused() -> None:
    document = json.loads(manifest().sign(SIGNER))
    document["objects"][0]["size_bytes"] = 11
    with pytest.raises(SignatureError):
        read_manifest(json.dumps(document).encode(), SIGNER.verifier)


def test_a_manifest_signed_by_somebody_else_is_refused() -> None:
    with pytest.raises(SignatureError):
        read_manifest(manifest().sign(SignerKey.generate("strongroom.example")), SIGNER.verifier)


def test_an_object_of_the_manifest_is_what_the_vault_must_give() -> None:
    stored = manifest().object("base").stored()
    assert (stored.key, stored.size_bytes, stored.sha256, stored.compressed) == (
        f"backups/shop/{ID}/base.tar.zst.age",
        10,
        "ab" * 32,
        True,
    )


@pytest.mark.parametrize(
    ("members", "named"),
    [
        ({"format": "strongroom/backup-manifest/v9"}, "format"),
        ({"stop_lsn": ...}, "stop_lsn"),
        ({"surprise": 1}, "surprise"),
        ({"fencing_number": "3"}, "fencing_number"),
        ({"fencing_number": 0}, "fencing_number"),
        ({"backup_id": "../../etc"}, "backup_id"),
        ({"start_lsn": "0/9000000"}, "order"),
        ({"finished_at": "2026-08-24T01:00:00Z"}, "finished before"),
        ({"started_at": "2026-08-24T01:00:00"}, "started_at"),
        ({"objects": []}, "base and its WAL"),
    ],
)
def test_a_manifest_that_is_not_whole_is_refused_by_name(members: dict[str, Any], named: str) -> None:
    with pytest.raises(ManifestError, match=named):
        parse_manifest(altered(**members))


def test_an_object_that_lies_elsewhere_is_refused() -> None:
    document = manifest().document()
    document["objects"][0]["key"] = "backups/other/20260824T020000Z-1f3a/base.tar.zst.age"
    with pytest.raises(ManifestError, match="does not lie below"):
        parse_manifest(document)


FULL, CHILD = "20260823T020000Z-00aa", "20260823T140000Z-00bb"
CHAIN = ChainLink(FULL, "ef" * 32, FULL, 1)


def incremental() -> BackupManifest:
    return replace(manifest(), kind="incremental", chain=CHAIN, server_manifest_sha256="12" * 32)


def test_an_incremental_manifest_names_what_it_builds_on() -> None:
    read = read_manifest(incremental().sign(SIGNER), SIGNER.verifier)
    assert read == incremental()
    assert read.chain == CHAIN


@pytest.mark.parametrize(
    ("members", "named"),
    [
        ({"chain": None}, "has a chain"),
        ({"kind": "full"}, "has a chain"),
        ({"chain": replace(CHAIN, parent_id=CHILD)}, "position"),
        ({"chain": replace(CHAIN, position=2)}, "position"),
        ({"chain": replace(CHAIN, parent_id=CHILD, full_id=ID, position=2)}, "older"),
        ({"chain": replace(CHAIN, parent_id="20270101T000000Z-0000", position=2)}, "older"),
        ({"chain": replace(CHAIN, parent_id=ID, full_id=ID)}, "older"),
        ({"chain": replace(CHAIN, position=0)}, "position"),
        ({"chain": replace(CHAIN, parent_id="../../etc")}, "parent_id"),
        ({"method": "logical"}, "only physical"),
    ],
)
def test_a_chain_that_makes_no_sense_is_refused(members: dict[str, Any], named: str) -> None:
    with pytest.raises(ManifestError, match=named):
        parse_manifest(replace(incremental(), **members).document())


def test_a_backup_may_hold_several_tablespaces() -> None:
    spaces = tuple(_object(f"tablespaces/{oid}.tar.zst.age", "tablespace") for oid in (16400, 16401))
    read = parse_manifest(replace(manifest(), objects=manifest().objects + spaces).document())
    assert [item.tablespace_oid for item in read.having("tablespace")] == [16400, 16401]
    assert read.object("base").tablespace_oid is None


@pytest.mark.parametrize(
    ("extra", "named"),
    [
        (("tablespaces/../x.tar.zst.age", "tablespace"), "name of a tablespace"),
        (("tablespaces/0.tar.zst.age", "tablespace"), "name of a tablespace"),
        (("base2.tar.zst.age", "base"), "same role"),
        (("base.tar.zst.age", "data"), "same name"),
    ],
)
def test_objects_that_cannot_be_told_apart_are_refused(extra: tuple[str, Any], named: str) -> None:
    with pytest.raises(ManifestError, match=named):
        parse_manifest(replace(manifest(), objects=(*manifest().objects, _object(*extra))).document())


def test_a_logical_backup_has_its_own_roles() -> None:
    names = {
        "contents.json.zst.age": "contents",
        "globals.sql.zst.age": "globals",
        "pre.age": "pre",
        "post.age": "post",
        "lo.age": "large_objects",
    }
    objects = [_object(name, role) for name, role in names.items()]
    objects += [_object(f"data/{number}.age", "data") for number in (1, 2)]
    read = parse_manifest(replace(manifest(), method="logical", objects=tuple(objects)).document())
    assert [item.name for item in read.having("data")] == ["data/1.age", "data/2.age"]


def test_a_manifest_of_the_first_version_still_reads() -> None:
    golden = Path(__file__).parent / "golden"
    trusted = VerifierKey.parse((golden / "manifest-first.pub").read_text())
    data = (golden / "manifest-first.json").read_bytes()
    read = read_manifest(data, trusted)
    assert (read.backup_id, read.kind, read.chain) == (ID, "full", None)
    assert [item.role for item in read.objects] == ["base", "wal", "fingerprints"]
    assert {**json.loads(data), "signature": ...} == {**read.document(), "signature": ...}
