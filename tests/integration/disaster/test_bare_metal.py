"""docs/disaster-recovery.md, followed as it is written: a copy of the bucket and a key bring Pagila back."""

import json

import pytest

from tests.integration.disaster.conftest import content
from tests.integration.disaster.document import SCRIPT, commands


def restored(desk, folder="restored.restore"):
    """What the restored Pagila holds."""
    return content(f"host={desk.folder / folder} dbname=pagila user=postgres")


def test_the_script_is_short():
    assert len(SCRIPT.read_text().splitlines()) < 150


def test_the_page_brings_the_newest_backup_back_with_the_escrow_key(desk, told):
    done = desk.type(commands("3."), commands("4.", 0), commands("5.", 0))
    assert done.returncode == 0, done.stderr
    assert told.site.backups[-1] in done.stdout
    assert restored(desk) == told.contents["backup"]
    assert desk.type(commands("5.", 1)).returncode == 0


def test_the_page_brings_a_chosen_second_back_with_the_key_file(desk, told):
    desk.values["MOMENT"] = told.moments["update"]
    desk.values["IDENTITY"] = str(desk.folder / "epoch.key")
    done = desk.type(commands("2."), commands("4.", 1))
    assert done.returncode == 0, done.stderr
    assert restored(desk) == told.contents["update"] != told.contents["delete"]


def test_the_page_restores_by_hand(desk, told):
    done = desk.type(commands("By hand"))
    assert done.returncode == 0, done.stderr
    assert restored(desk, "restored") == told.contents["backup"]


@pytest.mark.parametrize("name", ["insert", "delete", "quiet"])
def test_everything_before_a_position_comes_back(desk, told, name):
    done = desk.script("--lsn", told.positions[name])
    assert done.returncode == 0, done.stderr
    assert restored(desk) == told.contents[name]


def test_a_moment_after_which_nothing_was_committed_comes_back(desk, told):
    done = desk.script("--time", told.moments["quiet"])
    assert done.returncode == 0, done.stderr
    assert restored(desk) == told.contents["quiet"]


def test_all_that_there_is_comes_back(desk, told):
    done = desk.script("--end")
    assert done.returncode == 0, done.stderr
    assert restored(desk) == told.contents["quiet"]


def segments(desk):
    """The log after the backup, in order."""
    return sorted((desk.folder / "bucket" / "wal").rglob("*.zst.age"))[-2:]


def test_a_missing_segment_is_refused_before_anything_is_restored(desk, told):
    segments(desk)[0].unlink()
    done = desk.script("--end")
    assert done.returncode != 0
    assert "the log has a gap" in done.stderr
    assert not desk.directory.exists()


def test_a_missing_segment_at_the_end_is_a_gap_too(desk, told):
    segments(desk)[-1].unlink()
    assert "the log has a gap" in desk.script("--time", told.moments["quiet"]).stderr
    assert not desk.directory.exists()


def test_before_a_gap_everything_can_be_restored(desk, told):
    segments(desk)[-1].unlink()
    done = desk.script("--time", told.moments["insert"])
    assert done.returncode == 0, done.stderr
    assert restored(desk) == told.contents["insert"]


def test_a_moment_that_the_log_does_not_cover_is_refused(desk, told):
    done = desk.script("--time", "2099-01-01 00:00:00+00")
    assert done.returncode != 0
    assert "Choose an earlier time" in done.stderr
    assert not desk.directory.exists()


def test_a_moment_before_the_first_backup_is_refused(desk, told):
    done = desk.script("--time", told.moments["before"])
    assert done.returncode != 0
    assert "no physical backup leads to" in done.stderr
    assert not desk.directory.exists()


def test_an_altered_segment_ends_recovery_and_promotes_nothing(desk, told):
    path = segments(desk)[0]
    data = bytearray(path.read_bytes())
    data[-40] ^= 1
    path.write_bytes(data)
    done = desk.script("--end")
    assert done.returncode != 0
    assert "NOT RESTORED" in done.stderr
    assert not (desk.directory / "postmaster.pid").exists()


def test_a_segment_that_was_swapped_is_not_believed_though_it_opens(desk, told):
    first, second = segments(desk)[:2]
    first.write_bytes(second.read_bytes())
    assert desk.script("--end").returncode != 0
    assert not (desk.directory / "postmaster.pid").exists()


@pytest.mark.parametrize("name", ["base.tar.zst.age", "wal.tar.zst.age"])
def test_an_altered_object_is_found_before_it_is_opened(desk, told, name):
    (path,) = (desk.folder / "bucket" / "backups").rglob(name)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    done = desk.script()
    assert done.returncode != 0
    assert "not what the manifest says" in done.stderr
    assert not desk.directory.exists()


@pytest.mark.parametrize("kind", ["manifest", "receipt"])
def test_what_was_signed_by_somebody_else_is_not_believed(desk, told, kind):
    from strongroom.signing import SignerKey

    pattern = "manifest.json" if kind == "manifest" else "receipts/*.json"
    path = sorted((desk.folder / "bucket").rglob(pattern))[0]
    document = json.loads(path.read_text())
    stranger = SignerKey.generate("stranger").sign_json(document)
    path.write_text(json.dumps(stranger, separators=(",", ":")))
    assert "is not signed by" in desk.script("--end").stderr
    path.write_text(json.dumps({**document, "fencing_number": 7}, separators=(",", ":")))
    assert "does not hold" in _again(desk).script("--end").stderr
    assert not desk.directory.exists()


def _again(desk):
    desk.values["DIRECTORY"] = str(desk.folder / "again")
    return desk


def test_another_identity_opens_nothing(desk, told):
    from strongroom.sealing import X25519Identity

    (desk.folder / "escrow.key").write_text(f"{X25519Identity.generate()}\n")
    done = desk.script()
    assert done.returncode != 0
    assert "does not open" in done.stderr


def test_a_directory_that_exists_is_left_alone(desk, told):
    desk.directory.mkdir()
    desk.directory.chmod(0o777)
    done = desk.script()
    assert (done.returncode, "is there already" in done.stderr) == (1, True)
    assert list(desk.directory.iterdir()) == []


def test_another_major_version_is_refused(desk, told):
    done = desk.script(major=15)
    assert "needs PostgreSQL 18" in done.stderr
    assert not desk.directory.exists()


def test_the_first_lines_say_how_it_is_called(desk, told):
    assert "what is --tiem" in desk.script("--tiem", "x").stderr
