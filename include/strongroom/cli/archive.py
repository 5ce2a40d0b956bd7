"""`strongroom archive`: what left the database for sealed files, and how to ask it."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any

import typer

from strongroom.cli.context import DatabaseArgument, JsonOption, actor, recorded, services
from strongroom.cli.output import err, human_bytes, out, print_json, print_table
from strongroom.errors import InputError

if TYPE_CHECKING:
    from strongroom.archive.answering import Answer
    from strongroom.archive.querying import Answered
    from strongroom.archive.selecting import Person
    from strongroom.archive.standing import Part
    from strongroom.policy import Policy

app = typer.Typer(help="See, ask and bring back what left the database.", no_args_is_help=True)

_ROWS_IN_A_TABLE = 500
_FROM_STANDARD_INPUT = "-"
_NUMBERS = frozenset(
    {"TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UTINYINT", "USMALLINT", "UINTEGER"}
)

TableOption = Annotated[
    str | None,
    typer.Option("--table", help="Only what an archive rule of this table moved, as schema.table."),
]


@app.command("list")
def list_parts(database: DatabaseArgument, table: TableOption = None, as_json: JsonOption = False) -> None:
    """List the parts of an archive, oldest first: which rows, until when they are kept, and which holds keep them.

    A part is unfinished while a sweep works on it, or after one was killed: the next sweep settles it.
    """
    service = services()
    parts = service.archive_reader.parts(database, table)
    holds = service.archive_holds(database)
    if as_json:
        print_json([{**_facts(part), "holds": holds.get(part.part_id, ())} for part in parts])
        return
    rows = [
        (
            part.part_id,
            item.table,
            part.manifest.period,
            f"{item.rows:,}",
            _day(item.first),
            _day(item.last),
            human_bytes(item.object.size_bytes),
            f"{part.manifest.delete_after:%Y-%m-%d}",
            ", ".join(holds.get(part.part_id, ())) or "none",
            _state(part),
        )
        for part in parts
        for item in part.manifest.tables
    ]
    columns = ["part", "table", "period", "rows", "first", "last", "stored", "kept until", "holds", "state"]
    print_table("Archive", columns, rows, empty=f"Nothing of {database} is archived yet.")


@app.command("query")
def query(
    database: DatabaseArgument,
    sql: Annotated[str, typer.Argument(help="One SELECT in DuckDB's SQL; `-` reads it from standard input.")],
    live: Annotated[
        bool, typer.Option("--live", help="Ask archived and live rows together, in one snapshot.")
    ] = False,
    person: Annotated[
        str | None,
        typer.Option(
            help="Read only files with rows of this person: subject:identifier=value, such as"
            " customer:customer_id=42; with `-` as the value, it is read from standard input.",
        ),
    ] = None,
    as_csv: Annotated[
        bool, typer.Option("--csv", help="Answer with CSV; null is empty, empty text is quoted.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Ask an archive with SQL. Nothing is written to a disk; the question is recorded by its hash."""
    from strongroom.archive.querying import Question

    service = services()
    policy = service.policy(database)
    question = Question(_read_sql(sql), _person(policy, person) if person else None)
    conninfo = service.conninfo(database) if live else None
    with recorded(service), service.archive_reader.query(actor(), policy, question, conninfo) as answered:
        if as_json:
            _write_json(answered)
        elif as_csv:
            _write_csv(answered.answer)
        else:
            _print(answered.answer)
    if question.person is not None:
        err.print(
            f"Read {answered.parts_read} of {answered.parts_in_all} parts. They hold other people's rows too:"
            " the SQL must say whose are wanted.",
            markup=False,
        )


@app.command("restore")
def restore(
    database: DatabaseArgument,
    table: Annotated[str, typer.Option("--table", help="The archived table, as schema.table.")],
    into_conn: Annotated[
        str, typer.Option("--into-conn", help="The target: a database of the settings, by its name there.")
    ],
    into: Annotated[
        str,
        typer.Option(
            "--into", help="The table that the rows go into, as schema.table; made if it is not there."
        ),
    ],
    part: Annotated[
        list[str] | None, typer.Option("--part", help="Only this part; several times. All without it.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Bring archived rows back into a table: all of them, exactly as they were, or none. They stay archived too."""
    from strongroom.archive.restoring import RowsWanted

    service = services()
    wanted = RowsWanted(table, into, tuple(part or ()))
    with recorded(service):
        restored = service.archive_restorer.restore(
            actor(), service.policy(database), wanted, service.conninfo(into_conn)
        )
    if as_json:
        print_json(asdict(restored))
        return
    made = "the new table" if restored.created else "the table"
    out.print(
        f"Restored {restored.rows:,} rows of {table} from {restored.parts} part(s) into {made} {into};"
        " each equals what was archived.",
        markup=False,
    )
    if restored.already_there:
        out.print(
            f"{restored.already_there:,} more were there already, the same in every column.", markup=False
        )


def _facts(part: Part) -> dict[str, Any]:
    manifest = part.manifest
    tables = [
        {"table": item.table, "rows": item.rows, "by": item.by, "first": item.first, "last": item.last}
        for item in manifest.tables
    ]
    return {
        "part": part.part_id,
        "period": manifest.period,
        "method": manifest.method,
        "purpose": manifest.rule.purpose,
        "tables": tables,
        "stored_bytes": manifest.size_bytes,
        "archived_at": manifest.archived_at,
        "kept_until": manifest.delete_after,
        "state": _state(part),
        "manifest": manifest.key,
    }


def _day(moment: str | None) -> str:
    """The day of a moment as PostgreSQL writes it."""
    if moment is None:
        return "-"
    return moment.split(" ")[0] + (" BC" if moment.endswith(" BC") else "")


def _state(part: Part) -> str:
    return "archived" if part.receipt is not None else "unfinished"


def _read_sql(text: str) -> str:
    return sys.stdin.read() if text == _FROM_STANDARD_INPUT else text


def _person(policy: Policy, text: str) -> Person:
    from strongroom.archive.selecting import Person

    name, equals, value = text.partition("=")
    subject, colon, identifier = name.partition(":")
    if not (equals and colon and subject and identifier and value):
        raise InputError("--person takes subject:identifier=value, such as customer:customer_id=42.")
    if value == _FROM_STANDARD_INPUT:
        return Person(subject, identifier, sys.stdin.readline().rstrip("\r\n"))
    found = policy.subjects.get(subject)
    if found and identifier in found.identifiers and found.identifiers[identifier].direct:
        raise InputError(
            f"{subject}:{identifier} tells who the person is, so it does not belong on a command line.",
            hint=f"Give --person {subject}:{identifier}=- and the value on standard input.",
        )
    return Person(subject, identifier, value)


def _print(answer: Answer) -> None:
    rows = list(islice(answer.rows, _ROWS_IN_A_TABLE))
    print_table("Answer", answer.columns, rows, empty="No rows.")
    if next(answer.rows, None) is not None:
        err.print(
            f"These are the first {_ROWS_IN_A_TABLE} rows; --csv gives all.", style="yellow", markup=False
        )


def _write_csv(answer: Answer) -> None:
    for row in _with_head(answer.columns, answer.rows):
        sys.stdout.write(",".join(_csv_cell(value) for value in row) + "\r\n")


def _with_head(
    columns: tuple[str, ...], rows: Iterable[tuple[str | None, ...]]
) -> Iterator[tuple[str | None, ...]]:
    yield columns
    yield from rows


def _csv_cell(value: str | None) -> str:
    return "" if value is None else '"' + value.replace('"', '""') + '"'


def _write_json(answered: Answered) -> None:
    """One document, row by row; whole numbers and booleans as such, everything else as exact text."""
    answer = answered.answer
    head = {
        "columns": [
            {"name": name, "type": kind} for name, kind in zip(answer.columns, answer.types, strict=True)
        ],
        "parts_read": answered.parts_read,
        "parts_in_all": answered.parts_in_all,
    }
    sys.stdout.write(json.dumps(head, ensure_ascii=False)[:-1] + ', "rows": [')
    for number, row in enumerate(answer.rows):
        values = [_json_value(value, kind) for value, kind in zip(row, answer.types, strict=True)]
        sys.stdout.write(("," if number else "") + "\n  " + json.dumps(values, ensure_ascii=False))
    sys.stdout.write("\n]}\n")


def _json_value(value: str | None, kind: str) -> Any:
    if value is None:
        return None
    if kind == "BOOLEAN":
        return value == "true"
    return int(value) if kind in _NUMBERS else value
