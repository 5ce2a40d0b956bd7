"""What tests share: finding the parts they need, and failing in CI where a part is missing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
TEST_DATA = Path(os.environ.get("STRONGROOM_TEST_DATA", REPOSITORY.parent / "shared" / "data"))


def require(name: str, present: bool) -> None:
    """Skip the test on a laptop that lacks a part; fail in CI, where a missing part is a mistake."""
    if present:
        return
    message = f"{name} is not installed here"
    if os.environ.get("CI") == "true":
        pytest.fail(f"{message}; CI must install it")
    pytest.skip(message)
