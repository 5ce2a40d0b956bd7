"""Whether restored tables hold what the source held, by the fingerprints that the backup took in its snapshot."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from strongroom.backup.fingerprints import FingerprintDocument, TableFingerprint
from strongroom.backup.logical.contents import LogicalContents, Name
from strongroom.backup.restoring.errors import RestoredContentError
from strongroom.backup.restoring.logical.loading import APPLICATION
from strongroom.postgres import Table, connect, table_fingerprints, tables

_NAMED = 5

Comparison = tuple[int, tuple[str, ...]]
"""How many tables are equal, and which could not be compared."""


def compare(
    document: FingerprintDocument | None, contents: LogicalContents, conninfo: str, names: Mapping[Name, Name]
) -> Comparison:
    """Compare restored tables with the backup's fingerprints.

    Args:
        document: the fingerprints; None when the backup took none.
        contents: of the backup.
        conninfo: the database that the tables are in.
        names: the tables' names in the backup, and there.

    Raises:
        RestoredContentError: a table differs.
    """
    known = _comparable(document)
    restored = _tables_by_name(conninfo, contents, names)
    compared = {name: table for name, table in restored.items() if name in known}
    if document is not None and compared:
        found = table_fingerprints(conninfo, list(compared.values()), document.seed)
        values = {name: found[table.schema, table.name] for name, table in compared.items()}
        _refuse_differences(
            [
                name
                for name, value in values.items()
                if value is None or (value.rows, value.hash) != (known[name].rows, known[name].hash)
            ]
        )
    return len(compared), tuple(sorted(".".join(name) for name in names if name not in compared))


def _comparable(document: FingerprintDocument | None) -> dict[Name, TableFingerprint]:
    contents = document.databases.values() if document else ()
    return {
        (table.schema, table.name): table
        for content in contents
        for table in content.tables
        if table.comparable
    }


def _refuse_differences(names: list[Name]) -> None:
    if names:
        shown = ", ".join(sorted(".".join(name) for name in names)[:_NAMED])
        raise RestoredContentError(
            f"{len(names)} restored tables differ from the source: {shown}.",
            hint="Nothing was kept. Verify the backup; restore from another one.",
        )


def _tables_by_name(
    conninfo: str, contents: LogicalContents, names: Mapping[Name, Name]
) -> dict[Name, Table]:
    """The restored tables by their names in the backup, their columns in the source's order."""
    with connect(conninfo, application_name=APPLICATION) as connection:
        present = {(table.schema, table.name): table for table in tables(connection)}
    columns = {table.label: table.columns for table in contents.tables}
    return {
        name: replace(present[target], columns=columns[name])
        for name, target in names.items()
        if target in present
    }
