"""The night when the control database is gone: everything works again from the bucket."""

import shutil

import pytest

from strongroom.postgres import connect


@pytest.fixture
def survivor(installation, tmp_path):
    """A proven installation with an empty control database."""
    if installation.json("backup", "list")[0]["proof"] is None:
        assert installation.run("verify", "run", "shop").returncode == 0
    copy = installation.damaged_copy(tmp_path)
    with connect(copy.shop.conninfo(), application_name="test") as connection:
        connection.execute("DROP DATABASE IF EXISTS control_after")
        connection.execute("CREATE DATABASE control_after")
    copy.configure(control_database=f"postgresql://postgres@/control_after?host={copy.shop.socket_dir}")
    return copy


def test_after_a_rebuild_every_command_works_as_before(installation, survivor):
    assert survivor.json("backup", "list") == []
    assert survivor.run("catalog", "check").returncode == 3
    report = survivor.json("catalog", "rebuild")
    assert (report["backups"]["added"], report["findings"]) == (1, [])
    assert survivor.json("backup", "list") == installation.json("backup", "list")
    assert survivor.json("verify", "show", "shop") == installation.json("verify", "show", "shop")
    (backup,) = survivor.json("backup", "list")
    shown = survivor.json("backup", "show", backup["backup_id"])
    assert survivor.run("open", shown["objects"][-1]["key"]).returncode == 0
    assert survivor.json("audit", "verify")["entries"] > report["log_entries"]
    assert survivor.run("catalog", "check").stdout.endswith("Index and bucket agree.\n")
    assert survivor.json("verify", "run", "shop")["result"] == "proven"


def test_after_a_rebuild_a_restore_is_planned_as_before_and_run(installation, survivor):
    into = survivor.shop.data_dir.parents[2] / "restored-after-rebuild"
    wanted = ["shop", "--latest", "--into", str(into)]
    before = installation.json("restore", "plan", *wanted)
    assert survivor.run("catalog", "rebuild").returncode == 0
    planned = survivor.json("restore", "plan", *wanted)
    assert planned["sha256"] == before["sha256"]
    report = survivor.json("restore", "run", *wanted, "--plan-hash", planned["sha256"])
    assert report["stopped"] == f'at restore point "{planned["plan"]["target"]["value"]}"'


def test_what_cannot_be_believed_is_listed_and_the_status_says_integrity(survivor):
    (manifest,) = survivor.bucket.glob("backups/shop/*/manifest.json")
    shutil.copytree(manifest.parent, survivor.bucket / "backups" / "other" / manifest.parent.name)
    done = survivor.run("catalog", "rebuild")
    assert (done.returncode, "somebody moved it" in done.stdout) == (3, True), done.stderr
    assert "Traceback" not in done.stderr
    assert len(survivor.json("backup", "list")) == 1


def test_the_bucket_of_another_installation_gives_nothing(survivor, tmp_path):
    from strongroom.signing import SignerKey

    (tmp_path / "signing.key").write_text(SignerKey.generate("stranger").encode())
    done = survivor.run("catalog", "rebuild")
    assert done.returncode == 3
    assert survivor.json("backup", "list") == []
