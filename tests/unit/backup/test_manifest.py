"""A manifest says all of it, is signed, and is believed only when every part is what it must be."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from strongroom.backup import (
    BackupManifest,
    ManifestError,
    ManifestObject,
    RestorePoint,
    ServerFacts,
    read_manifest,
)
from strongroom.backup.manifest import parse_manifest
from strongroom.signing import SignatureError, SignerKey

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
