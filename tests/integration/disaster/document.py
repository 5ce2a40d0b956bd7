"""The commands of docs/disaster-recovery.md, as a person would type them."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from strongroom.postgres import find_binaries, service_account
from strongroom.postgres.account import process_options
from tests.support import REPOSITORY

PAGE = REPOSITORY / "docs" / "disaster-recovery.md"
SCRIPT = REPOSITORY / "docs" / "restore.sh"
_SECTION = re.compile(r"^## (.*)$", re.MULTILINE)
_BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_ASSIGNMENT = re.compile(r"^([A-Z_]+)=.*$", re.MULTILINE)


def commands(section: str, number: int = 0) -> str:
    """A block of commands, by the beginning of its section's title."""
    parts = _SECTION.split(PAGE.read_text())
    found = [text for title, text in zip(parts[1::2], parts[2::2], strict=True) if title.startswith(section)]
    return str(_BLOCK.findall(found[0])[number])


@dataclass(frozen=True)
class Desk:
    """A machine that has nothing but a copy of the bucket, an identity and the page."""

    folder: Path
    values: dict[str, str]
    """What stands behind each variable that the page assigns."""

    @property
    def directory(self) -> Path:
        """Where the cluster is restored."""
        return Path(self.values["DIRECTORY"])

    def type(self, *blocks: str, major: int = 18) -> subprocess.CompletedProcess[str]:
        """Type blocks of the page, its values replaced by our own, as the account that servers run as."""
        values = {**self.values, "PATH": f"{find_binaries(major).tool('psql').parent}:/usr/bin:/bin"}

        def own(match: re.Match[str]) -> str:
            return f"{match[1]}='{values[match[1]]}'" if match[1] in values else match[0]

        typed = _ASSIGNMENT.sub(own, "\n".join([commands("1."), *blocks]))
        options = process_options(service_account()) | {"cwd": self.folder}
        return subprocess.run(
            ["bash", "-e", "-o", "pipefail", "-c", typed],
            capture_output=True, text=True, timeout=240, check=False, **options,
        )  # fmt: skip

    def script(self, *arguments: str, major: int = 18) -> subprocess.CompletedProcess[str]:
        """Call the script with further arguments, as the page does."""
        call = './restore.sh -b "$BUCKET" -i "$IDENTITY" -d "$DATABASE" -k "$VERIFIER_KEY" -t "$DIRECTORY" '
        return self.type(call + " ".join(f"'{argument}'" for argument in arguments), major=major)
