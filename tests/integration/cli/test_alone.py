"""A machine with nothing but the bucket, a key and the program: the page's commands, typed as they are written."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from strongroom.signing import SignerKey
from tests.integration.cli.conftest import Installation
from tests.integration.disaster.document import commands
from tests.support import REPOSITORY

_SECTION = "With the program"
_PROGRAM = f'strongroom() {{ "{sys.executable}" -m strongroom.cli "$@"; }}\n'


def typed(text: str, folder: Path, **values: str) -> subprocess.CompletedProcess[str]:
    """Type commands of the page, with our own values for the variables that it assigns."""
    own = re.sub(r"^KEY_FILE=.*$", "", text, flags=re.MULTILINE)
    return subprocess.run(
        ["bash", "-e", "-o", "pipefail", "-c", _PROGRAM + own],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(REPOSITORY / "include"), **values},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


@pytest.fixture
def alone(installation: Installation, tmp_path: Path):
    """The bucket, the key file, and what stands behind the page's variables."""
    copy = installation.damaged_copy(tmp_path)
    into = installation.shop.data_dir.parents[2] / "alone"
    values = {
        "BUCKET": str(copy.bucket),
        "DATABASE": "shop",
        "DIRECTORY": str(into),
        "KEY_FILE": str(tmp_path / "local.key"),
        "VERIFIER_KEY": str(SignerKey.read(tmp_path / "signing.key").verifier),
    }
    (tmp_path / "desk").mkdir()
    yield copy, tmp_path / "desk", values
    if (into / "data").exists():
        stop = ["pg_ctl", "stop", "-m", "immediate", "-D", str(into / "data")]
        from strongroom.postgres import find_binaries
        from strongroom.postgres.account import process_options, service_account

        stop[0] = str(find_binaries().tool("pg_ctl"))
        subprocess.run(stop, check=False, capture_output=True, **process_options(service_account()))


def test_the_commands_of_the_page_restore_and_the_log_learns_of_it(alone) -> None:
    copy, desk, values = alone
    done = typed(commands(_SECTION), desk, **values)
    assert done.returncode == 0, done.stderr
    assert "The server runs." in done.stdout
    assert (Path(values["DIRECTORY"]) / "data" / "PG_VERSION").exists()
    (key,) = set(re.findall(r"--trust '([^']+)'", done.stderr))
    assert "journal/" in done.stderr

    settings = {"STRONGROOM_SETTINGS": str(copy.folder / "settings.yaml")}
    refused = copy.run("audit", "import")
    assert (refused.returncode, "--trust" in refused.stderr) == (3, True)
    before = copy.json("audit", "verify")["entries"]
    taken = typed(commands(_SECTION, 1), desk, JOURNAL_KEY=key, **settings)
    assert taken.returncode == 0, taken.stderr
    assert copy.json("audit", "verify")["entries"] > before
