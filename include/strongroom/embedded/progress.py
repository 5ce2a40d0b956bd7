"""What is being done, how long it usually takes, and how long it took: for a terminal or for a log."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

    from strongroom.embedded.state import State


class Progress:
    """Tells a person what happens.

    Args:
        state: remembers how long steps took, which is what the next start expects.
        console: where to; standard output by default.
    """

    def __init__(self, state: State, console: Console | None = None) -> None:
        from rich.console import Console

        self._state = state
        self._console = console or Console(file=sys.stdout, highlight=False, soft_wrap=True)

    @contextmanager
    def step(self, name: str, doing: str, *, expected_seconds: float) -> Iterator[Step]:
        """Show a step while the block runs, and its duration afterwards.

        Args:
            name: the key under which its duration is remembered.
            doing: what is being done.
            expected_seconds: how long it takes when nothing is remembered.
        """
        expected = self._state.seconds.get(name, expected_seconds)
        step = Step(f"{doing} (about {_duration(expected)})")
        began = time.monotonic()
        if self._console.is_terminal:
            with self._console.status(step.text):
                yield step
        else:
            self.say(f"... {step.text}")
            yield step
        seconds = time.monotonic() - began
        self._state.seconds[name] = round(seconds, 1)
        self._state.save()
        self.say(f"  ok {step.result or doing} ({_duration(seconds)})")

    def found(self, what: str) -> None:
        """Say that a part runs already."""
        self.say(f"  ok {what} (was running)")

    def say(self, text: str = "") -> None:
        """Print a line."""
        self._console.print(text, markup=False)
        self._console.file.flush()


class Step:
    """A step that is being done."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.result: str | None = None
        """What to print when it is done, instead of what was being done."""


def _duration(seconds: float) -> str:
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min"
