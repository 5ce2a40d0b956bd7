"""Makes the virtual environment, with the plain Python of the machine: nothing is installed yet when this runs.

    .venv/                      python -m venv; every package at the version and hash of the lock file
    .venv/strongroom.json       what was installed: {"set": "dev", "fingerprint": "<sha-256>"}

Installed again only when a lock file, `pyproject.toml` or the interpreter changed. Several calls at once wait for
one another.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[3]
VENV = REPOSITORY / ".venv"
STAMP = VENV / "strongroom.json"
LOCKS = {"runtime": ("requirements.lock",), "dev": ("requirements-dev.lock", "requirements.lock")}


class InstallError(Exception):
    """The environment cannot be made; the message says why and what to do."""


def main(arguments: list[str]) -> int:
    """Install the set of packages that is named, or write the lock files again."""
    try:
        with _alone():
            if arguments == ["lock"]:
                _write_locks()
            else:
                _install(arguments[0])
    except InstallError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _install(name: str) -> None:
    if _installed(name):
        return
    started = time.monotonic()
    _say(
        f"Installing Strongroom's packages ({LOCKS[name][0]}) into .venv; the first time takes a minute or two"
    )
    STAMP.unlink(missing_ok=True)
    if not _usable():
        _create_environment()
    _pip("install", "--require-hashes", "--no-deps", "--quiet", "-r", str(REPOSITORY / LOCKS[name][0]))
    _pip("install", "--no-build-isolation", "--no-deps", "--no-index", "--quiet", "-e", str(REPOSITORY))
    STAMP.write_text(json.dumps({"set": name, "fingerprint": _fingerprint(name)}) + "\n")
    _say(f"Installed in {time.monotonic() - started:.0f} s")


def _installed(name: str) -> bool:
    """Whether the environment holds this set; the developer's holds the runtime's too."""
    try:
        stamp = json.loads(STAMP.read_text())
        kind = str(stamp["set"])
        return kind in (name, "dev") and stamp["fingerprint"] == _fingerprint(kind) and _usable()
    except (OSError, ValueError, KeyError):
        return False


def _fingerprint(name: str) -> str:
    """SHA-256 over all that decides what the environment holds, its own place included."""
    digest = hashlib.sha256(f"{VENV}\n{sys.version_info[:2]}\n".encode())
    for file in (*LOCKS[name], "pyproject.toml"):
        digest.update((REPOSITORY / file).read_bytes())
    return digest.hexdigest()


def _usable() -> bool:
    """Whether the environment's interpreter runs, has pip, and is the version that is asked for."""
    script = "import pip, sys; print(sys.version_info[:2])"
    try:
        found = subprocess.run([_python(), "-c", script], capture_output=True, text=True, check=False)
    except OSError:
        return False
    return found.returncode == 0 and found.stdout.strip() == str(sys.version_info[:2])


def _create_environment() -> None:
    shutil.rmtree(VENV, ignore_errors=True)
    made = subprocess.run(
        [sys.executable, "-m", "venv", str(VENV)], capture_output=True, text=True, check=False
    )
    if made.returncode != 0:
        shutil.rmtree(VENV, ignore_errors=True)
        version = ".".join(str(part) for part in sys.version_info[:2])
        raise InstallError(
            f"{sys.executable} cannot make a virtual environment:\n{(made.stdout + made.stderr).strip()}\n"
            f"On Debian and Ubuntu: apt install python{version}-venv. Then run make again."
        )


def _pip(*arguments: str) -> None:
    options = ("--disable-pip-version-check", "--no-input")
    done = subprocess.run([_python(), "-m", "pip", *arguments, *options], check=False)
    if done.returncode != 0:
        raise InstallError(
            "The packages were not installed; pip's own message stands above. Nothing else was changed.\n"
            "The first installation needs a package index (pip's own settings apply); later runs need none."
        )


def _write_locks() -> None:
    """Resolve both lists of ranges again, for every supported Python at once."""
    uv = shutil.which("uv")
    if uv is None:
        raise InstallError("Writing the lock files needs uv: pipx install uv, or see docs.astral.sh/uv.")
    common = ["--universal", "--generate-hashes", "--no-header", "--python-version", "3.11", "--quiet"]
    for source, lock, constraints in (
        ("requirements.txt", "requirements.lock", []),
        ("requirements-dev.txt", "requirements-dev.lock", ["-c", "requirements.lock"]),
    ):
        command = [uv, "pip", "compile", *common, *constraints, source, "-o", lock]
        if subprocess.run(command, cwd=REPOSITORY, check=False).returncode != 0:
            raise InstallError(f"{lock} was not written; uv's own message stands above.")
        _say(f"Wrote {lock}")


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """Wait until no other call of this program works on the same checkout."""
    with (REPOSITORY / "requirements.lock").open("rb") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _say("Another make installs packages here; waiting for it")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _python() -> str:
    return str(VENV / "bin" / "python")


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
