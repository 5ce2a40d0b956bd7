"""What somebody asks for when a database or tables are to come back from a logical backup."""

from __future__ import annotations

from dataclasses import dataclass

from strongroom.backup.restoring.logical.selecting import Selection
from strongroom.errors import InputError


@dataclass(frozen=True)
class LogicalRestoreRequest:
    """A restore from a logical backup that somebody wants.

    Args:
        database: whose backup, by its policy's name.
        connection: the target server's connection, by its name in the settings or, in Airflow, of `db_<name>`.
        new_name: the new schema that the tables go into, or the new database.
        selection: the tables; None for the whole database.
        backup_id: the backup; the newest logical one without it.
        target_database: another database of that server than the connection names.
        rename_to: for a single table, its new name.
        owners: for a whole database, whether owners and privileges are restored; their roles must exist.

    Raises:
        InputError: a new table's name for a whole database.
    """

    database: str
    connection: str
    new_name: str
    selection: Selection | None = None
    backup_id: str | None = None
    target_database: str | None = None
    rename_to: str | None = None
    owners: bool = True

    def __post_init__(self) -> None:
        if self.selection is None and self.rename_to is not None:
            raise InputError("A table's new name is for restoring a single table, not a whole database.")
