"""`strongroom policy` at a terminal, with a database."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from strongroom.postgres import Cluster, connect
from tests.support import REPOSITORY


class Terminal:
    """A folder with settings, and the program that reads them."""

    def __init__(self, folder: Path, databases: dict[str, str], control: str | None) -> None:
        self.folder = folder
        self.policies = folder / "policies"
        self.policies.mkdir()
        settings = {
            "store": {"kind": "local", "directory": str(folder / "bucket")},
            "control_database": control,
            "signing_key": "./signing.key",
            "keys": {"provider": "file", "path": "./local.key"},
            "policy_directory": str(self.policies),
            "databases": databases,
        }
        wanted = {name: value for name, value in settings.items() if value is not None}
        (folder / "settings.yaml").write_text(json.dumps(wanted))

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "strongroom.cli", *arguments],
            env={
                "PATH": os.environ["PATH"],
                "PYTHONPATH": str(REPOSITORY / "include"),
                "STRONGROOM_SETTINGS": str(self.folder / "settings.yaml"),
            },
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )


@pytest.fixture
def terminal(tmp_path: Path, shop_database: str) -> Terminal:
    """A terminal without a control database."""
    made = Terminal(tmp_path, {"shop": shop_database}, None)
    (made.policies / "shop.yaml").write_text((REPOSITORY / "include/policy/shop.yaml").read_text())
    return made


def test_a_policy_that_agrees_ends_with_0(terminal: Terminal) -> None:
    done = terminal.run("policy", "check", "--database", "shop")

    assert (done.returncode, done.stdout) == (0, "shop: the policy and the database agree.\n")


def test_a_policy_that_does_not_agree_ends_with_2_and_names_every_point(terminal: Terminal) -> None:
    file = terminal.policies / "shop.yaml"
    text = file.read_text()
    exempt = '  public.exchange_rate: {exempt: "no personal data: published rates"}\n'
    assert exempt in text
    file.write_text(
        text.replace(exempt, "").replace("not_personal: [status, created_at]", "not_personal: [status]")
    )

    done = terminal.run("policy", "check", "--database", "shop")
    as_json = terminal.run("policy", "check", "--database", "shop", "--json")

    assert done.returncode == as_json.returncode == 2
    assert "public.exchange_rate: the table is not in the policy" in done.stdout
    assert (
        "public.customer.created_at: the column (timestamp with time zone) is not classified" in done.stdout
    )
    document = json.loads(as_json.stdout)
    assert document["agrees"] is False
    assert [finding["code"] for finding in document["findings"]] == [
        "unclassified_column",
        "unclassified_table",
    ]


def test_with_a_control_database_the_check_is_in_the_log(
    tmp_path: Path, control_server: Cluster, shop_database: str
) -> None:
    with connect(control_server.conninfo(), application_name="test") as connection:
        connection.execute("CREATE DATABASE rules_control")
    url = f"postgresql://postgres@/rules_control?host={control_server.socket_dir}"
    terminal = Terminal(tmp_path, {"shop": shop_database}, url)
    (terminal.policies / "shop.yaml").write_text((REPOSITORY / "include/policy/shop.yaml").read_text())
    assert terminal.run("keys", "init").returncode == 0

    done = terminal.run("policy", "check", "--database", "shop")

    assert done.returncode == 0, done.stderr
    verified = terminal.run("audit", "verify")
    assert verified.returncode == 0, verified.stderr
    entries = b"".join(
        path.read_bytes() for path in (tmp_path / "bucket" / "log").rglob("*") if path.is_file()
    )
    assert b"policy:agreement:check" in entries


def test_a_draft_is_written_into_a_new_file_and_never_over_another(terminal: Terminal) -> None:
    (terminal.policies / "shop.yaml").unlink()
    file = str(terminal.policies / "shop.yaml")

    first = terminal.run("policy", "draft", "--database", "shop", "--output", file)
    again = terminal.run("policy", "draft", "--database", "shop", "--output", file)
    checked = terminal.run("policy", "check", "--database", "shop")

    assert first.returncode == 0, first.stderr
    assert again.returncode == 2
    assert checked.returncode == 0, checked.stdout


def test_policies_are_explained_compared_exported_and_imported(terminal: Terminal, tmp_path: Path) -> None:
    shop = terminal.policies / "shop.yaml"
    later = tmp_path / "later.yaml"
    later.write_text(shop.read_text().replace("for: 6mo", "for: 1y"))
    datamap = str(tmp_path / "map.yaml")

    explained = terminal.run("policy", "explain", "public.login_event", "--database", "shop")
    compared = terminal.run("policy", "diff", str(shop), str(later))
    exported = terminal.run("policy", "export", "--database", "shop", "--output", datamap)
    imported = terminal.run("policy", "import", datamap, "--database", "shop")

    assert "A row stays for 6 months after occurred_at; then it is deleted." in explained.stdout
    assert compared.stdout == 'tables["public.login_event"].retain.for was 6mo, is 1y\n'
    assert exported.returncode == 0, exported.stderr
    assert "database: shop" in imported.stdout
