"""Writing policy files for tests, and reading what is wrong with them."""

from __future__ import annotations

from pathlib import Path

import pytest

from strongroom.policy import Policy, PolicyFileError, load_policy

HEAD = 'database: shop\ncontroller: {name: Meridian}\nbackup: {schedule: "0 2 * * *"}\n'
"""The smallest policy: three lines, so that what is added begins on line 4."""


def write(folder: Path, text: str | bytes, name: str = "shop.yaml") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def loaded(folder: Path, text: str) -> Policy:
    return load_policy(write(folder, text))


def mistakes(folder: Path, text: str | bytes) -> list[str]:
    """The lines of the error, without the folder's name."""
    path = write(folder, text)
    with pytest.raises(PolicyFileError) as caught:
        load_policy(path)
    return [line.removeprefix(f"{path.parent}/") for line in caught.value.message.splitlines()]
