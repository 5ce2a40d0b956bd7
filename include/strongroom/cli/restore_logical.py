"""`strongroom restore database|tables|contents`: bringing things back from logical backups."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from strongroom.cli.context import DatabaseArgument, JsonOption, actor, recorded, services
from strongroom.cli.output import out, print_json, print_table

if TYPE_CHECKING:
    from strongroom.backup.restoring.logical import LogicalRestoreResult
    from strongroom.services import Services

BackupOption = Annotated[str | None, typer.Option("--backup", help="The backup's id; the newest without it.")]
IntoOption = Annotated[
    str,
    typer.Option("--into-conn", help="The target: a database of the settings, by its name there."),
]
DbnameOption = Annotated[
    str | None,
    typer.Option("--dbname", help="Another database of the target's server than its connection names."),
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
    owners: Annotated[
        bool, typer.Option(help="Restore owners and privileges; their roles must exist on the server.")
    ] = True,
    as_json: JsonOption = False,
) -> None:
    """Restore a logical backup into a new database; never over one that exists."""
    from strongroom.backup.restoring.logical import schema_name

    service = services()
    with recorded(service):
        result = service.logical_restorer.restore_database(
            actor(), database, service.conninfo(into), schema_name(name), backup_id=backup, owners=owners
        )
    _print(result, "database", as_json)


def restore_tables(
    database: DatabaseArgument,
    into: IntoOption,
    schema: Annotated[str, typer.Option("--schema", help="The new schema that the tables go into.")],
    table: Annotated[
        list[str] | None,
        typer.Option("--table", help="A table of the backup, as schema.table; several times."),
    ] = None,
    from_schema: Annotated[
        list[str] | None, typer.Option("--from-schema", help="All tables of a schema of the backup.")
    ] = None,
    new_name: Annotated[str | None, typer.Option("--as", help="Another name, for a single table.")] = None,
    dbname: DbnameOption = None,
    backup: BackupOption = None,
    as_json: JsonOption = False,
) -> None:
    """Restore tables of a logical backup into a new schema of a database."""
    from strongroom.backup.restoring.logical import Selection, schema_name, table_name

    selection = Selection(
        tuple(table_name(text) for text in table or ()),
        tuple(schema_name(text) for text in from_schema or ()),
    )
    service = services()
    with recorded(service):
        result = service.logical_restorer.restore_tables(
            actor(),
            database,
            selection,
            _target(service, into, dbname),
            schema_name(schema),
            backup_id=backup,
            new_name=schema_name(new_name) if new_name else None,
        )
    _print(result, "schema", as_json)


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


def _target(service: Services, into: str, dbname: str | None) -> str:
    from strongroom.postgres import with_database

    conninfo = service.conninfo(into)
    return with_database(conninfo, dbname) if dbname else conninfo


def _print(result: LogicalRestoreResult, kind: str, as_json: bool) -> None:
    from strongroom.backup.restoring.copied import copied_lines

    if as_json:
        print_json(asdict(result))
        return
    out.print(
        f"Restored {len(result.tables)} tables of {result.backup_id} into the new {kind} {result.target} in"
        f" {result.seconds:.0f} s; {result.compared} equal the source.",
        markup=False,
    )
    for name in result.not_compared:
        out.print(f"  not compared: {name}", markup=False)
    for item in result.left_out:
        out.print(f"  left out: {item}", markup=False)
    for line in copied_lines(result.from_copies):
        out.print(line, markup=False)
