"""`strongroom archive sweep`: moving rows past their time into sealed files."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from strongroom.cli.context import JsonOption, actor, recorded, services
from strongroom.cli.output import err, human_bytes, out, print_json, print_table
from strongroom.errors import InputError

if TYPE_CHECKING:
    from strongroom.archive import SweepSummary


def register(app: typer.Typer) -> None:
    """Add the command to the group `archive`."""
    app.command("sweep")(sweep)


def sweep(
    database: Annotated[
        str | None, typer.Argument(help="The database's name in its policy file.", show_default=False)
    ] = None,
    table: Annotated[
        str | None,
        typer.Option(
            "--table", help="One table with an archive rule, as the policy names it; all without it."
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would move, and move nothing.")
    ] = False,
    named: Annotated[
        str | None, typer.Option("--database", help="The same, as an option.", hidden=True)
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Move the rows that are older than their archive rule out of the database, into sealed files."""
    from strongroom.archive.sweeping import archived_tables

    if (database is None) == (named is None):
        raise InputError("Name one database.", hint="strongroom archive sweep DATABASE")
    database = database or named or ""
    service = services()
    policy, conninfo = service.policy(database), service.conninfo(database)
    tables = (table,) if table else archived_tables(policy)
    summaries = []
    with recorded(service):
        for name in tables:
            summary = service.archiver.sweep(actor(), policy, conninfo, name, dry_run=dry_run)
            summaries.append(summary)
            if not as_json:
                _print(summary)
    if as_json:
        print_json([{**asdict(summary), "rows": summary.rows} for summary in summaries])
    elif not tables:
        out.print(f"The policy of {database} has no archive rule.", markup=False)


def _print(summary: SweepSummary) -> None:
    moved = "would move" if summary.dry_run else "moved"
    until = summary.cutoff[:10]
    if summary.parts:
        rows = [
            (part.period, part.method, part.rows, "" if summary.dry_run else human_bytes(part.stored_bytes))
            for part in summary.parts
        ]
        print_table(f"{summary.table}: {moved}", ["period", "by", "rows", "stored"], rows, empty="")
    out.print(
        f"{summary.table}: {summary.rows} rows {moved} in {len(summary.parts)} part(s); due was what is older"
        f" than {until}.",
        markup=False,
    )
    if summary.finished_parts or summary.discarded_parts:
        out.print(
            f"Of an earlier run that was killed, {summary.finished_parts} part(s) were finished and"
            f" {summary.discarded_parts} taken away.",
            markup=False,
        )
    for held in summary.held:
        err.print(f"{held.rows} rows stay: {held.reason}.", style="yellow", markup=False)
