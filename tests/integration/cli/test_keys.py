"""Keys at the command line: rotated, everything brought to the new one, and still proven."""

import json
import shutil
import subprocess
from types import SimpleNamespace

import pytest

from tests.support import REPOSITORY, require


@pytest.fixture(scope="module")
def rotated(installation, tmp_path_factory):
    """An installation of the test's own, with a copy, whose key was rotated and whose objects were rewrapped."""
    tmp_path = tmp_path_factory.mktemp("rotated")
    own = installation.damaged_copy(tmp_path)
    control = json.loads((tmp_path / "settings.yaml").read_text())["control_database"]
    for folder in ("offsite", "policies"):
        (tmp_path / folder).mkdir()
    shop = (REPOSITORY / "include" / "policy" / "shop.yaml").read_text()
    shop = shop.replace("backup:\n", "backup:\n  copies: [offsite]\n", 1)
    (tmp_path / "policies" / "shop.yaml").write_text(shop)
    own.configure(
        control_database=control,
        policy_directory=str(tmp_path / "policies"),
        copies={"offsite": {"kind": "local", "directory": str(tmp_path / "offsite")}},
    )
    assert own.run("copy", "run", "shop").returncode == 0
    old, new = own.json("keys", "list")[0]["id"], own.json("keys", "rotate")["id"]
    return SimpleNamespace(
        run=own.run,
        json=own.json,
        folder=own.folder,
        bucket=own.bucket,
        old=old,
        new=new,
        report=own.json("keys", "rewrap"),
    )


def test_a_rewrapped_backup_is_proven_from_the_bucket_and_from_a_copy(rotated):
    assert rotated.report["rewrapped"] > 0
    assert rotated.report["problems"] == []
    assert rotated.json("verify", "run", "shop")["result"] == "proven"
    assert rotated.run("copy", "run", "shop").returncode == 0
    assert rotated.json("verify", "run", "shop", "--store", "offsite")["result"] == "proven"


def test_index_and_bucket_agree_after_a_rewrap(rotated):
    checked = rotated.json("catalog", "check")
    assert (checked["differences"], checked["problems"]) == (0, {})


def test_by_hand_it_opens_with_the_new_key_alone(rotated, tmp_path):
    for tool in ("age", "jq"):
        require(f"The {tool} command", shutil.which(tool) is not None)
    (sealed,) = rotated.bucket.glob("backups/shop/*/base.tar.zst.age")
    opened = {}
    for epoch in (rotated.old, rotated.new):
        record = rotated.bucket / "keys" / f"{epoch}.json"
        script = (
            f"jq -r .wrapped.data {record} | base64 -d | age -d -i {rotated.folder}/local.key > {tmp_path}/k &&"
            f" age -d -i {tmp_path}/k {sealed} | wc -c; exit ${{PIPESTATUS[0]}}"
        )
        opened[epoch] = subprocess.run(["bash", "-c", script], capture_output=True, check=False).returncode
    assert (opened[rotated.old] != 0, opened[rotated.new]) == (True, 0)
