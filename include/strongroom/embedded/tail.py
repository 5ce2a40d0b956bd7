"""The end of a log, for errors and for `make logs`."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

_WINDOW_BYTES = 64 * 1024


def last_lines(path: Path, count: int = 20, *, start_byte: int = 0) -> str:
    """The last lines of a log, each cut to a readable length; says so when there are none.

    Args:
        path: the log.
        count: how many lines.
        start_byte: where the present run's part begins.
    """
    try:
        with path.open("rb") as log:
            end = log.seek(0, 2)
            log.seek(max(start_byte, end - _WINDOW_BYTES))
            lines = log.read().decode(errors="replace").splitlines()
    except FileNotFoundError:
        return f"(there is no {path})"
    return "\n".join(line[:300] for line in lines[-count:]) or "(nothing was logged)"


def follow(path: Path) -> Iterator[str]:
    """The lines of a log as they are written, from its last ones on; ends with the caller's patience."""
    yield last_lines(path)
    with path.open(errors="replace") as log:
        log.seek(0, 2)
        while True:
            text = log.readline()
            if text:
                yield text.rstrip("\n")
            else:
                time.sleep(0.2)
