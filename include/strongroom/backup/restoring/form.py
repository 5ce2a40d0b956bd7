"""What the fields of a form ask for: a target, and a folder below the one place where restores may go."""

from __future__ import annotations

import re
from pathlib import Path

from strongroom.backup.restoring.errors import TargetError
from strongroom.backup.restoring.request import RestoreTarget
from strongroom.errors import InputError

_FOLDER = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
_FIELDS = {"time": "time", "lsn": "value", "point": "value", "latest": None, "backup": None}


def target_of(kind: str, time: str | None, value: str | None) -> RestoreTarget:
    """The target that a form's three fields name.

    Args:
        kind: `backup`, `time`, `lsn`, `point` or `latest`.
        time: a moment with its time zone, for `time`.
        value: a position for `lsn`, a name for `point`.

    Raises:
        TargetError: a field that the kind needs is empty, or one is filled that it does not use.
        InvalidLsnError: the position is none.
    """
    if kind not in _FIELDS:
        raise TargetError(f"A restore goes to one of {', '.join(_FIELDS)}; not to {kind[:40]!r}.")
    given = {"time": (time or "").strip(), "value": (value or "").strip()}
    needed = _FIELDS[kind]
    for name, text in given.items():
        if text and name != needed:
            raise TargetError(
                f"`{name}` is filled in, and a restore to `{kind}` does not use it.",
                hint="Empty it, or choose the target that it belongs to: a moment that is ignored helps nobody.",
            )
    if needed and not given[needed]:
        raise TargetError(f"A restore to `{kind}` needs `{needed}`, which is empty.")
    if kind == "time":
        return RestoreTarget.at_time(given["time"])
    if kind == "lsn":
        return RestoreTarget.at_lsn(given["value"])
    if kind == "point":
        return RestoreTarget.at_point(given["value"])
    return RestoreTarget("latest" if kind == "latest" else "backup")


def folder_below(root: Path, name: str) -> Path:
    """The directory of that name below the one place where restores may go.

    Raises:
        InputError: the name could lead elsewhere.
    """
    if not _FOLDER.fullmatch(name):
        raise InputError(
            f"{name[:80]!r} cannot be a restore's folder.",
            hint=f"One name of lower-case letters, digits, - and _: it is made below {root}.",
        )
    return root / name
