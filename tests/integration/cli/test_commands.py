"""The command line, as a user walks it: what it prints, and the status that it ends with."""

import json
import shlex
import subprocess

import pytest

from tests.support import REPOSITORY, require


def only(paths):
    (path,) = paths
    return path


def test_a_backup_is_listed_shown_and_proven(installation):
    (backup,) = installation.json("backup", "list")
    assert backup["database"] == "shop"
    assert backup["proof"] is None
    proof = installation.json("verify", "run", "shop")
    assert proof["result"] == "proven"
    assert [level["level"] for level in proof["levels"]] == ["L0", "L1", "L2", "L3", "L4", "L5"]
    assert {level["status"] for level in proof["levels"]} == {"passed"}
    assert proof["rto_seconds"] > 0
    assert installation.json("backup", "list")[0]["proof"] == "proven"
    assert installation.json("verify", "show", "shop") == proof
    assert (
        f"Backup {backup['backup_id']} of shop: PROVEN" in installation.run("verify", "show", "shop").stdout
    )
    assert installation.json("backup", "show", backup["backup_id"])["restore_point"]["lsn"]
    assert "base.tar.zst.age" in installation.run("backup", "show", backup["backup_id"]).stdout
    assert list(installation.scratch.iterdir()) == []


def test_the_log_of_all_that_is_checked_from_the_bucket_alone(installation):
    installation.configure(control_database=None, keys=None)
    try:
        log = installation.json("audit", "verify")
        assert log["entries"] > 5
        assert str(log["entries"]) in installation.run("audit", "head").stdout.splitlines()
        proof = installation.run("audit", "prove", "0").stdout
        assert proof.startswith("c2sp.org/tlog-proof@v1\n")
        assert "\nindex 0\n" in proof
    finally:
        installation.configure()


def test_the_keys_are_shown_without_their_private_halves(installation):
    epochs = installation.json("keys", "list")
    assert [epoch["purpose"] for epoch in epochs] == ["backup", "escrow"]
    shown = installation.run("keys", "show", epochs[0]["id"]).stdout
    assert epochs[0]["recipient"] in shown
    assert "SECRET" not in shown
    again = installation.run("keys", "init")
    assert (again.returncode, len(installation.json("keys", "list"))) == (0, 2)


def test_ordinary_tools_and_the_escrow_key_open_a_backup(installation):
    for tool in ("age", "zstd", "tar"):
        require(tool, subprocess.run(["which", tool], capture_output=True, check=False).returncode == 0)
    base = only(installation.bucket.glob("backups/shop/*/base.tar.zst.age"))
    script = 'set -eo pipefail; age -d -i "$1" "$2" | zstd -d | tar t'
    listed = subprocess.run(
        ["bash", "-c", script, "-", installation.folder / "escrow.key", base],
        capture_output=True, text=True, check=True,
    ).stdout.split()  # fmt: skip
    assert {"PG_VERSION", "global/pg_control", "backup_label", "backup_manifest"} <= set(listed)


def test_losing_the_key_file_the_epoch_is_recovered_by_hand_from_its_record(installation):
    for tool in ("age", "jq"):
        require(tool, subprocess.run(["which", tool], capture_output=True, check=False).returncode == 0)
    record = only(installation.bucket.glob("keys/backup-*.json"))
    script = 'jq -r .wrapped.data "$1" | base64 -d | age -d -i "$2"'
    arguments = ["bash", "-c", script, "-", record, installation.folder / "local.key"]
    identity = subprocess.run(arguments, capture_output=True, text=True, check=True).stdout
    assert identity.startswith("AGE-SECRET-KEY-1")


def test_an_object_is_opened_to_a_new_private_file(installation, tmp_path):
    key = json.loads(only(installation.bucket.glob("backups/shop/*/manifest.json")).read_text())["objects"][
        -1
    ]["key"]
    target = tmp_path / "fingerprints.json"
    assert installation.run("open", key, "--output", str(target)).returncode == 0
    assert json.loads(target.read_text())["format"] == "strongroom/fingerprints/v1"
    assert target.stat().st_mode & 0o777 == 0o600
    again = installation.run("open", key, "--output", str(target))
    assert (again.returncode, "exists already" in again.stderr) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["backup", "run", "shpo"], 2, "No policy in"),
        (["backup", "show", "20200101T000000Z-0000"], 4, "There is no backup"),
        (["verify", "run", "shop", "--backup", "20200101T000000Z-0000"], 4, "20200101T000000Z-0000"),
        (["keys", "show", "backup-1999"], 4, "There is no epoch"),
        (["audit", "prove", "99999"], 4, "99999"),
        (["audit", "prove", "nonsense!"], 2, "neither an event's id nor its index"),
        (["open", "files/none.age", "--output", "/dev/null/x"], 4, "has no object"),
        (["--settings", "/nowhere.yaml", "keys", "list"], 2, "does not exist"),
        (["backup", "run"], 2, "Missing argument"),
    ],
)
def test_each_failure_has_its_status_and_says_what_is_wrong(installation, arguments, status, message):
    done = installation.run(*arguments)
    assert (done.returncode, message in done.stderr) == (status, True), done.stderr
    assert "Traceback" not in done.stderr


def test_a_typo_in_a_policy_is_named_with_its_line(installation, tmp_path):
    (tmp_path / "shop.yaml").write_text("database: shop\nbakcup:\n  schedule: '0 2 * * *'\n")
    done = installation.run("policy", "check", str(tmp_path))
    assert done.returncode == 2
    assert "shop.yaml:2" in done.stderr
    assert "backup" in done.stderr


def test_a_control_database_that_is_away_is_a_passing_failure(installation):
    installation.configure(control_database="postgresql://nobody@127.0.0.1:1/control")
    try:
        done = installation.run("backup", "list")
    finally:
        installation.configure()
    assert (done.returncode, "control database does not answer" in done.stderr) == (75, True)


def test_a_host_without_the_private_key_says_so(installation):
    installation.configure(keys=None)
    try:
        done = installation.run("verify", "run", "shop")
    finally:
        installation.configure()
    assert done.returncode in (2, 3)
    assert "holds public keys only" in done.stderr


def test_the_wrong_key_file_is_an_error_that_names_it(installation, tmp_path):
    from strongroom.sealing import LocalKeyProvider

    copy = installation.damaged_copy(tmp_path)
    (tmp_path / "local.key").unlink()
    LocalKeyProvider.generate(tmp_path / "local.key")
    done = copy.run("verify", "run", "shop")
    assert done.returncode == 3
    assert "local.key" in done.stderr


@pytest.mark.parametrize("damage", ["deleted", "truncated", "flipped", "swapped", "manifest"])
def test_a_damaged_backup_is_not_proven_and_the_status_says_integrity(installation, tmp_path, damage):
    copy = installation.damaged_copy(tmp_path)
    base = only(copy.bucket.glob("backups/shop/*/base.tar.zst.age"))
    if damage == "deleted":
        base.unlink()
    elif damage == "truncated":
        base.write_bytes(base.read_bytes()[:-65536])
    elif damage == "flipped":
        content = bytearray(base.read_bytes())
        content[len(content) // 2] ^= 1
        base.write_bytes(content)
    elif damage == "swapped":
        base.write_bytes(base.with_name("wal.tar.zst.age").read_bytes())
    else:
        manifest = base.with_name("manifest.json")
        manifest.write_text(
            manifest.read_text()
            .replace('"timeline":1', '"timeline":2')
            .replace('"timeline": 1', '"timeline": 2')
        )
    done = copy.run("verify", "run", "shop", "--backup", base.parent.name)
    assert done.returncode == 3, done.stderr
    assert "is not proven" in done.stderr or "is not what was written" in done.stderr
    assert list(copy.scratch.iterdir()) == []


def test_an_edited_entry_of_the_log_is_found(installation, tmp_path):
    copy = installation.damaged_copy(tmp_path)
    for bundle in copy.bucket.glob("log/tile/entries/*/*"):
        bundle.write_bytes(bundle.read_bytes().replace(b"backup:run:execute", b"backup:run:exesute", 1))
    done = copy.run("audit", "verify")
    assert done.returncode == 3
    assert "Traceback" not in done.stderr


def test_a_restore_is_planned_approved_by_its_hash_and_run(installation):
    into = installation.shop.data_dir.parents[2] / "restored"
    (backup,) = installation.json("backup", "list")
    wanted = ("shop", "--backup", backup["backup_id"], "--into", str(into))
    planned = installation.json("restore", "plan", *wanted)
    assert planned["plan"]["backups"][0]["id"] == backup["backup_id"]
    assert f"plan hash  {planned['sha256']}" in installation.run("restore", "plan", *wanted).stdout

    refused = installation.run("restore", "run", *wanted, "--plan-hash", "00" * 32)
    assert (refused.returncode, "not the plan that was approved" in refused.stderr) == (5, True)
    assert not into.exists()

    report = installation.json("restore", "run", *wanted, "--plan-hash", planned["sha256"])
    assert report["stopped"] == f'at restore point "{planned["plan"]["target"]["value"]}"'
    assert (into / "data" / "PG_VERSION").exists()
    again = installation.run("restore", "run", *wanted)
    assert (again.returncode, "holds a restored cluster" in again.stderr) == (5, True)


def test_a_restore_is_planned_from_the_bucket_alone(installation):
    installation.configure(control_database=None)
    try:
        into = installation.folder / "elsewhere"
        planned = installation.json("restore", "plan", "shop", "--latest", "--into", str(into))
        assert planned["plan"]["requested"] == "to the end of the archive"
    finally:
        installation.configure()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "exactly one target"),
        (("--latest", "--to-lsn", "0/1"), "exactly one target"),
        (("--to-time", "2026-11-24 10:00"), "names no time zone"),
        (("--to-time", "yesterday"), "is no moment"),
        (("--to-lsn", "here"), "no log sequence number"),
        (("--to-time", "2099-01-01T00:00:00Z"), "The archive does not reach the moment"),
    ],
)
def test_a_restore_to_nowhere_is_refused_in_words(installation, arguments, says):
    done = installation.run("restore", "plan", "shop", *arguments, "--into", "/nowhere/at/all")
    assert (done.returncode, says in done.stderr) == (2, True), done.stderr


def test_wal_is_shipped_and_what_is_wrong_with_it_ends_the_status_with_1(installation):
    before = installation.run("wal", "status", "shop")
    assert before.returncode == 1
    assert "no replication slot" in before.stderr
    shipped = installation.json("wal", "ship", "shop")
    assert shipped["segments"] > 0
    status = installation.json("wal", "status", "shop")
    assert status["problems"] == []
    assert status["covered_until"] == shipped["covered_until"]
    assert status["source"]["wal_status"] == "reserved"
    assert [item["gaps"] for item in status["timelines"]] == [[]]
    shown = installation.run("wal", "status", "shop")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert status["timelines"][0]["last_segment"] in shown.stdout
    last = only(installation.bucket.glob(f"wal/shop/*/*/{status['timelines'][0]['last_segment']}.zst.age"))
    content = last.read_bytes()
    last.unlink()
    missing = installation.run("wal", "status", "shop")
    last.write_bytes(content)
    assert missing.returncode == 1
    assert "not in the bucket" in " ".join(missing.stderr.split())
    assert installation.json("wal", "stop", "shop")["dropped"]
    assert not installation.json("wal", "stop", "shop")["dropped"]
    assert "no replication slot" in installation.run("wal", "status", "shop").stderr


def test_a_copy_is_made_shown_and_proven(installation, tmp_path):
    policies, offsite = tmp_path / "policy", installation.shop.data_dir.parents[2] / "offsite"
    policies.mkdir()
    shop = (REPOSITORY / "include" / "policy" / "shop.yaml").read_text()
    (policies / "shop.yaml").write_text(shop.replace("backup:\n", "backup:\n  copies: [offsite]\n", 1))
    copies = {"offsite": {"kind": "local", "directory": str(offsite)}}
    try:
        installation.configure(policy_directory=str(policies), copies=copies)
        missing = installation.run("copy", "run", "shop")
        assert (missing.returncode, "Is its disk mounted?" in missing.stderr) == (2, True)
        offsite.mkdir()
        (report,) = installation.json("copy", "run", "shop", "--to", "offsite")
        assert report["copied_objects"] > 0
        proof = installation.json("verify", "run", "shop", "--store", "offsite")
        assert (proof["result"], proof["copy"]) == ("proven", "offsite")
        (status,) = installation.json("copy", "status", "shop")
        assert status["complete"] == status["backups"] > 0
        assert (status["outcome"], status["proof"]) == ("success", "proven")
        assert "offsite" in installation.run("copy", "status", "shop").stdout
        (followed,) = installation.json("wal", "ship", "shop")["copies"]
        assert (followed["copy"], followed["copied_objects"] > 0) == ("offsite", True)
        archived = {
            path.relative_to(installation.bucket) for path in installation.bucket.glob("wal/**/*.age")
        }
        assert {path.relative_to(offsite) for path in offsite.glob("wal/**/*.age")} == archived
        assert installation.json("wal", "stop", "shop")["dropped"]
        unknown = installation.run("copy", "run", "shop", "--to", "nowhere")
        assert (unknown.returncode, "There are: offsite" in unknown.stderr) == (2, True)
        installation.configure(copies=copies)
        assert "names no copies" in installation.run("copy", "run", "shop").stderr
    finally:
        installation.configure()


def test_the_chapter_on_restoring_works_word_by_word(installation):
    chapter = (REPOSITORY / "README.md").read_text().split("## Restore\n")[1]
    lines = chapter.split("```sh\n")[1].split("```")[0].splitlines()
    into = installation.shop.data_dir.parents[2] / "as-described"
    for line in lines:
        program, *arguments = shlex.split(line.replace("/var/tmp/shop-restored", str(into)))
        assert program == "strongroom"
        done = installation.run(*arguments)
        assert done.returncode == 0, done.stderr
    told = dict(line.split(": ", 1) for line in done.stdout.splitlines() if " it: " in line)
    look = [
        *shlex.split(told["Look at it"]),
        "-d",
        "shop",
        "-Atc",
        "SELECT count(*) > 0 FROM public.customer",
    ]
    assert subprocess.run(look, capture_output=True, text=True, check=True).stdout == "t\n"
    subprocess.run(shlex.split(told["Stop it"].strip()), check=True, capture_output=True, cwd="/")


def test_a_control_database_from_yesterday_is_refused_and_can_be_brought_up_to_date(installation):
    """The last one: afterwards the control database that the others use is behind the published log."""
    yesterday = installation.copied_control_database()
    assert installation.run("backup", "run", "shop").returncode == 0
    installation.configure(control_database=yesterday)
    try:
        refused = installation.run("audit", "seal")
        assert (refused.returncode, "an older state of it was restored" in refused.stderr) == (3, True), (
            refused.stderr
        )
        assert installation.run("audit", "recover").returncode == 0
        assert installation.run("audit", "seal").returncode == 0
        assert installation.run("audit", "verify").returncode == 0
    finally:
        installation.configure()
