"""What somebody probably meant to write."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def did_you_mean(written: str, known: Iterable[str]) -> str:
    """`; did you mean 'x'?` for the known word nearest to what was written, or nothing."""
    words = list(known)
    folded = {word.lower(): word for word in words}
    near = difflib.get_close_matches(written.lower()[:80], folded, n=1, cutoff=0.6)
    return f"; did you mean '{folded[near[0]]}'?" if near else ""


def one_of(known: Iterable[str]) -> str:
    """The words as `a, b or c`."""
    words = list(known)
    return f"{', '.join(words[:-1])} or {words[-1]}" if len(words) > 1 else "".join(words)


def shown(value: object) -> str:
    """A value as it appears in a message: quoted, and short whatever its length."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (dict, list, tuple)):
        return "a mapping" if isinstance(value, dict) else "a list"
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
