"""Sizes and durations as people read them."""

from __future__ import annotations


def size_text(count: int) -> str:
    """A number of bytes, such as `1.2 GB`."""
    size = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{count} B" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


def duration_text(seconds: float) -> str:
    """A duration, such as `12 min`."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


def printable(text: str) -> str:
    """A name that somebody else chose, on one line: what would move the cursor is written as its number."""
    return "".join(mark if mark.isprintable() else f"\\u{ord(mark):04x}" for mark in text)
