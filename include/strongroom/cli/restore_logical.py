"""`strongroom restore database|tables|contents`: bringing things back from logical backups."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from strongroom.cli.context import DatabaseArgument, JsonOption, actor, recorded, services
from strongroom.cli.output import out, print_json, print_table
from strongroom.errors import InputError

if TYPE_CHECKING:
    from strongroom.backup.restoring.logical import LogicalRestoreRequest

BackupOption = Annotated[str | None, typer.Option("--backup", help="The backup's id; the newest without it.")]
IntoOption = Annotated[
    str,
    typer.Option("--into-conn", help="The target: a database of the settings, by its name there."),
]
DbnameOption = Annotated[
    str | None,
    typer.Option("--dbname", help="Another database of the target's server than its connection names."),
]
TableOption = Annotated[
    list[str] | None,
    typer.Option("--table", help="A table of the backup, as schema.table; several times."),
]
FromSchemaOption = Annotated[
    list[str] | None, typer.Option("--from-schema", help="All tables of a schema of the backup.")
]
AsOption = Annotated[str | None, typer.Option("--as", help="Another name, for a single table.")]
OwnersOption = Annotated[
    bool, typer.Option(help="Restore owners and privileges; their roles must exist on the server.")
]


def register(app: typer.Typer) -> None:
    """Add the commands to the group `restore`."""
    app.command("database")(restore_database)
    app.command("tables")(restore_tables)
    app.command("contents")(show_contents)


def restore_database(
    database: DatabaseArgument,
    into: IntoOption,
    name: Annotated[str, typer.Option("--name", help="The new database's name.")],
    backup: BackupOption = None,
    owners: OwnersOption = True,
    as_json: JsonOption = False,
) -> None:
    """Restore a logical backup into a new database; never over one that exists."""
    _restore(logical_request(database, into, name=name, backup=backup, owners=owners), as_json)


def restore_tables(
    database: DatabaseArgument,
    into: IntoOption,
    schema: Annotated[str, typer.Option("--schema", help="The new schema that the tables go into.")],
    table: TableOption = None,
    from_schema: FromSchemaOption = None,
    new_name: AsOption = None,
    dbname: DbnameOption = None,
    backup: BackupOption = None,
    as_json: JsonOption = False,
) -> None:
    """Restore tables of a logical backup into a new schema of a database."""
    request = logical_request(
        database,
        into,
        schema=schema,
        tables=table or (),
        from_schemas=from_schema or (),
        new_name=new_name,
        dbname=dbname,
        backup=backup,
    )
    _restore(request, as_json)


def logical_request(
    database: str,
    into: str,
    *,
    name: str | None = None,
    schema: str | None = None,
    tables: Sequence[str] = (),
    from_schemas: Sequence[str] = (),
    new_name: str | None = None,
    dbname: str | None = None,
    backup: str | None = None,
    owners: bool = True,
) -> LogicalRestoreRequest:
    """What the options ask for: a whole database under a new name, or tables in a new schema.

    Raises:
        InputError: they name both or neither, or what is no name.
    """
    from strongroom.backup.restoring.logical import (
        LogicalRestoreRequest,
        Selection,
        schema_name,
        table_name,
    )

    if (name is None) == (schema is None):
        raise InputError(
            "A restore from a logical backup goes into a new database or into a new schema.",
            hint="Give --name for the whole database, or --schema for tables.",
        )
    if name is not None and (tables or from_schemas):
        raise InputError("--table and --from-schema are for tables, which go into a new --schema.")
    selection = Selection(tuple(map(table_name, tables)), tuple(map(schema_name, from_schemas)))
    return LogicalRestoreRequest(
        database,
        into,
        schema_name(name or schema or ""),
        None if name is not None else selection,
        backup_id=backup,
        target_database=dbname,
        rename_to=schema_name(new_name) if new_name else None,
        owners=owners,
    )


def show_contents(
    database: DatabaseArgument, backup: BackupOption = None, as_json: JsonOption = False
) -> None:
    """List the tables that a logical backup holds."""
    service = services()
    with recorded(service):
        contents = service.logical_restorer.contents(actor(), database, backup)
    if as_json:
        print_json(asdict(contents))
        return
    rows = [(table.schema, table.name, table.object) for table in contents.tables]
    print_table("Tables", ["schema", "table", "object"], rows, empty="It holds no table with rows.")


def _restore(request: LogicalRestoreRequest, as_json: bool) -> None:
    service = services()
    with recorded(service):
        result = service.logical_restorer.restore(actor(), request)
    if as_json:
        print_json(result.document())
        return
    for line in result.lines():
        out.print(line, markup=False)
