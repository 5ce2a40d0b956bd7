"""What the fields of a form ask for: a cluster into a new folder, a database or tables under a new name.

A field that does not belong to what comes back must be empty: one that is ignored would restore something else than
whoever filled it in believes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from strongroom.backup.restoring.either import AnyRequest
from strongroom.backup.restoring.errors import TargetError
from strongroom.backup.restoring.logical import LogicalRestoreRequest, Selection, schema_name, table_name
from strongroom.backup.restoring.request import RestoreRequest, RestoreTarget
from strongroom.errors import InputError

CLUSTER, DATABASE, TABLES = "cluster", "database", "tables"
_FOLDER = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
_FIELDS = {"time": "time", "lsn": "value", "point": "value", "latest": None, "backup": None}
_OF_CLUSTERS = ("time", "value", "folder", "start")
_OF_LOGICAL = ("connection", "target_database", "new_name")
_OF_TABLES = ("tables", "schemas", "table_name")
_UNUSED: Mapping[str, tuple[str, ...]] = {
    CLUSTER: (*_OF_LOGICAL, *_OF_TABLES),
    DATABASE: (*_OF_CLUSTERS, *_OF_TABLES),
    TABLES: _OF_CLUSTERS,
}


@dataclass(frozen=True)
class RestoreForm:
    """The fields as somebody filled them in; an empty text is an empty field.

    Args:
        database: the database's name in its policy.
        what: what comes back: `cluster`, `database` or `tables`.
        backup_id: the backup; the newest that will do without it.
        target: for a cluster: `backup`, `time`, `lsn`, `point` or `latest`.
        time: for a cluster: the moment, for `time`.
        value: for a cluster: the position or the restore point's name, for `lsn` and `point`.
        folder: for a cluster: a new directory's name.
        start: for a cluster: whether the server is left running.
        tables: which tables, as `schema.table`.
        schemas: whole schemas of tables.
        table_name: for a single table: its new name.
        new_name: the new schema that tables go into, or the new database.
        connection: the target's connection by its name; that of the database itself without it.
        target_database: another database of the target's server than the connection names.
        owners: for a whole database: whether owners and privileges are restored.
    """

    database: str
    what: str = CLUSTER
    backup_id: str = ""
    target: str = "backup"
    time: str = ""
    value: str = ""
    folder: str = ""
    start: bool = False
    tables: tuple[str, ...] = ()
    schemas: tuple[str, ...] = ()
    table_name: str = ""
    new_name: str = ""
    connection: str = ""
    target_database: str = ""
    owners: bool = True

    def request(self, restore_directory: Path) -> AnyRequest:
        """What the form asks for.

        Args:
            restore_directory: below it clusters come back, and nowhere else.

        Raises:
            InputError: a field that is needed is empty, or one is filled in that does not belong.
            TargetError: the target's fields do not name one.
        """
        if self.what not in _UNUSED:
            raise InputError(f"What comes back is one of {', '.join(_UNUSED)}; not {self.what[:40]!r}.")
        self._refuse_unused()
        if self.what == CLUSTER:
            return RestoreRequest(
                self.database,
                target_of(self.target, self.time, self.value),
                folder_below(restore_directory, self._needed("folder", "a new directory's name")),
                backup_id=self.backup_id or None,
                start=self.start,
            )
        if self.target != "backup":
            raise TargetError(
                f"Only a whole cluster can be restored to `{self.target[:40]}`.",
                hint="A logical backup is one moment: choose the target `backup`, and the backup in `backup_id`.",
            )
        return self._logical()

    def _logical(self) -> LogicalRestoreRequest:
        kind = "database" if self.what == DATABASE else "schema"
        return LogicalRestoreRequest(
            self.database,
            self.connection or self.database,
            schema_name(self._needed("new_name", f"the new {kind}'s name")),
            self._selection() if self.what == TABLES else None,
            backup_id=self.backup_id or None,
            target_database=self.target_database or None,
            rename_to=schema_name(self.table_name) if self.table_name else None,
            owners=self.owners,
        )

    def _selection(self) -> Selection:
        if not (self.tables or self.schemas):
            raise InputError(
                "Restoring tables needs some: `tables` and `schemas` are empty.",
                hint="Name tables as schema.table, one a line; `strongroom restore contents` lists what there is.",
            )
        return Selection(tuple(map(table_name, self.tables)), tuple(map(schema_name, self.schemas)))

    def _needed(self, field: str, meaning: str) -> str:
        value = str(getattr(self, field)).strip()
        if not value:
            raise InputError(f"To restore `{self.what}`, `{field}` is needed: {meaning}. It is empty.")
        return value

    def _refuse_unused(self) -> None:
        filled = [name for name in _UNUSED[self.what] if _filled(getattr(self, name))]
        if filled:
            raise InputError(
                f"{', '.join(f'`{name}`' for name in filled)} filled in, and restoring `{self.what}` does not use it.",
                hint="Empty it, or choose what it belongs to in `what`: a field that is ignored helps nobody.",
            )


def _filled(value: Any) -> bool:
    return bool(value.strip()) if isinstance(value, str) else bool(value)


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
