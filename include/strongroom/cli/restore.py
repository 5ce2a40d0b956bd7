"""`strongroom restore plan|run`: what a restore would do, and doing exactly that."""

from __future__ import annotations

import enum
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from strongroom.cli.context import DatabaseArgument, JsonOption, actor, recorded, services
from strongroom.cli.output import err, out, print_json
from strongroom.cli.restore_logical import (
    AsOption,
    DbnameOption,
    FromSchemaOption,
    OwnersOption,
    TableOption,
    logical_request,
)
from strongroom.errors import InputError

if TYPE_CHECKING:
    from strongroom.backup.restoring.either import AnyPlan, AnyPlanned, AnyRequest
    from strongroom.backup.restoring.request import RestoreRequest, RestoreTarget
    from strongroom.backup.restoring.runner import Progress

app = typer.Typer(
    help="Bring back a cluster into a new directory, or a database or tables under a new name.",
    no_args_is_help=True,
)


class AtTarget(enum.Enum):
    """What becomes of the server at its target."""

    PROMOTE = "promote"
    PAUSE = "pause"
    SHUTDOWN = "shutdown"


ToTime = Annotated[
    str | None, typer.Option("--to-time", help="A moment with its time zone: 2026-11-24T22:10:05+01:00.")
]
ToLsn = Annotated[str | None, typer.Option("--to-lsn", help="A position in the log: 0/3000060.")]
ToPoint = Annotated[str | None, typer.Option("--to-point", help="A named restore point.")]
Latest = Annotated[bool, typer.Option("--latest", help="The end of the archive.")]
Backup = Annotated[
    str | None,
    typer.Option("--backup", help="Begin from this backup; alone: restore to its own restore point."),
]
Into = Annotated[Path | None, typer.Option("--into", help="A directory that is empty or does not exist yet.")]
Timeline = Annotated[int | None, typer.Option("--timeline", help="Follow this timeline, not the newest.")]
Then = Annotated[
    AtTarget,
    typer.Option(
        "--then",
        help="What to do at the target: promote the server; or leave it in recovery, stopped (shutdown) or"
        " open for reading (pause).",
    ),
]
Start = Annotated[bool, typer.Option("--start", help="Leave the server running.")]


IntoConn = Annotated[
    str | None,
    typer.Option(
        "--into-conn",
        help="From a logical backup: the target, a database of the settings, by its name there.",
    ),
]
NewDatabase = Annotated[
    str | None,
    typer.Option("--name", help="With --into-conn: the new database that the whole database goes into."),
]
NewSchema = Annotated[
    str | None, typer.Option("--schema", help="With --into-conn: the new schema that the tables go into.")
]


@app.command("plan")
def plan(
    database: DatabaseArgument,
    into: Into = None,
    to_time: ToTime = None,
    to_lsn: ToLsn = None,
    to_point: ToPoint = None,
    latest: Latest = False,
    backup: Backup = None,
    timeline: Timeline = None,
    then: Then = AtTarget.PROMOTE,
    start: Start = False,
    into_conn: IntoConn = None,
    name: NewDatabase = None,
    schema: NewSchema = None,
    table: TableOption = None,
    from_schema: FromSchemaOption = None,
    new_name: AsOption = None,
    dbname: DbnameOption = None,
    owners: OwnersOption = True,
    as_json: JsonOption = False,
) -> None:
    """Say what a restore would do: from which backup, how long, how large, or why it cannot be done.

    With --into: a whole cluster. With --into-conn: a database (--name) or tables (--schema) of a logical backup.
    """
    logical = any((name, schema, table, from_schema, new_name, dbname))
    physical = any((into, to_time, to_lsn, to_point, latest, timeline, start, then is not AtTarget.PROMOTE))
    if (logical or into_conn) and physical:
        raise InputError(
            "These options are for two kinds of restores.",
            hint="Give --into and a target for a whole cluster, or --into-conn with --name or --schema.",
        )
    request: AnyRequest
    if into_conn is not None:
        request = logical_request(
            database,
            into_conn,
            name=name,
            schema=schema,
            tables=table or (),
            from_schemas=from_schema or (),
            new_name=new_name,
            dbname=dbname,
            backup=backup,
            owners=owners,
        )
    elif logical:
        raise InputError("A restore from a logical backup needs a server.", hint="Name one with --into-conn.")
    else:
        target = _target(to_time, to_lsn, to_point, latest, backup)
        request = _request(database, target, into, backup, timeline, then, start)
    service = services()
    with recorded(service):
        planned = service.restores.plan(actor(), request)
    _print_plan(planned, as_json)


@app.command("run")
def run(
    database: DatabaseArgument,
    into: Into = None,
    to_time: ToTime = None,
    to_lsn: ToLsn = None,
    to_point: ToPoint = None,
    latest: Latest = False,
    backup: Backup = None,
    timeline: Timeline = None,
    then: Then = AtTarget.PROMOTE,
    start: Start = False,
    plan_file: Annotated[
        Path | None, typer.Option("--plan", help="A plan, as `restore plan --json` printed it.")
    ] = None,
    plan_hash: Annotated[
        str | None, typer.Option("--plan-hash", help="Go on only if the plan has this hash.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Restore a cluster into a new directory, or whatever --plan says, and prove that it came back as planned."""
    service = services()
    with recorded(service):
        if plan_file is not None:
            made = _read_plan(plan_file, database)
        else:
            target = _target(to_time, to_lsn, to_point, latest, backup)
            request = _request(database, target, into, backup, timeline, then, start)
            planned = service.restores.plan(actor(), request)
            made = planned.plan
            if not as_json:
                _print_plan(planned, as_json)
        with _shown(quiet=as_json) as progress:
            report = service.restores.run(actor(), made, plan_hash or made.sha256, progress=progress)
    if as_json:
        print_json(report.document())
        return
    for line in report.lines():
        out.print(line, markup=False)


def _target(
    to_time: str | None, to_lsn: str | None, to_point: str | None, latest: bool, backup: str | None
) -> RestoreTarget:
    from strongroom.backup.restoring.request import RestoreTarget

    given = [value is not None for value in (to_time, to_lsn, to_point)] + [latest]
    if sum(given) > 1 or (not any(given) and backup is None):
        raise InputError(
            "A restore has exactly one target.",
            hint="Give one of --to-time, --to-lsn, --to-point, --latest; or --backup alone.",
        )
    if to_time is not None:
        return RestoreTarget.at_time(to_time)
    if to_lsn is not None:
        return RestoreTarget.at_lsn(to_lsn)
    if to_point is not None:
        return RestoreTarget.at_point(to_point)
    return RestoreTarget("latest" if latest else "backup")


def _request(
    database: str,
    target: RestoreTarget,
    into: Path | None,
    backup: str | None,
    timeline: int | None,
    then: AtTarget,
    start: bool,
) -> RestoreRequest:
    from strongroom.backup.restoring.request import RestoreRequest

    if into is None:
        raise InputError("A restore needs a directory.", hint="Name one with --into that is empty or new.")
    return RestoreRequest(database, target, into, backup, timeline, then.value, start)


def _read_plan(path: Path, database: str) -> AnyPlan:
    from strongroom.backup.restoring.either import parse_any_plan

    try:
        document = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise InputError(f"The plan {path} cannot be read: {error}") from error
    plan = parse_any_plan(document.get("plan", {}) if isinstance(document, dict) else {})
    if plan.database != database:
        raise InputError(f"The plan {path} is about {plan.database}, not {database}.")
    return plan


def _print_plan(planned: AnyPlanned, as_json: bool) -> None:
    if as_json:
        print_json(
            {
                "plan": planned.plan.document(),
                "sha256": planned.plan.sha256,
                "estimate": asdict(planned.estimate),
            }
        )
        return
    for line in planned.lines():
        out.print(line, markup=False)


@contextmanager
def _shown(*, quiet: bool) -> Iterator[Progress | None]:
    """Progress bars for a person at a terminal."""
    if quiet or not err.is_terminal:
        yield None
        return
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description:<8}"), BarColumn(), TextColumn("{task.percentage:>3.0f} %"))
    with Progress(*columns, TimeRemainingColumn(), console=err) as bars:
        tasks = {name: bars.add_task(name, total=None) for name in ("unpack", "log")}
        yield lambda stage, done, total: bars.update(tasks[stage], completed=done, total=total)
