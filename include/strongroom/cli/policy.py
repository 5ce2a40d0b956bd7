"""`strongroom policy`: the files that say what is protected and how, and the databases that they are about."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from strongroom.cli.context import JsonOption, actor, recorded_where_possible, services
from strongroom.cli.output import err, out, print_json, print_table
from strongroom.errors import InputError, NotFoundError
from strongroom.policy import load_policies, load_policy
from strongroom.rules.differing import policy_changes, policy_document
from strongroom.rules.drafts import Draft
from strongroom.rules.telling import explain_table

app = typer.Typer(help="Check, draft and explain the policy files.", no_args_is_help=True)

OutputOption = Annotated[
    Path | None, typer.Option("--output", help="Write it into this new file instead of printing it.")
]
DatabaseOption = Annotated[str, typer.Option("--database", help="The database's name in its policy file.")]


@app.callback()
def _group() -> None:
    pass


@app.command("check")
def check(
    directory: Annotated[
        Path | None, typer.Argument(help="The folder of policy files; without it, the settings' own.")
    ] = None,
    database: Annotated[
        str | None,
        typer.Option("--database", help="Compare this database's policy with the database itself."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Check every policy file, each mistake with file, line and a suggestion; or one of them against its database."""
    if database is not None:
        if directory is not None:
            raise InputError("Name a folder of policy files or a database, not both.")
        _check_database(database, as_json)
        return
    loaded = load_policies(directory or _directory())
    if as_json:
        print_json(
            {
                "policies": {name: policy.sha256 for name, policy in loaded.policies.items()},
                "errors": {str(path): error.message for path, error in loaded.errors.items()},
            }
        )
    else:
        rows = [
            (policy.database, policy.backup.method, policy.backup.schedule, len(policy.tables))
            for policy in loaded.policies.values()
        ]
        print_table(
            "Policies", ["database", "method", "schedule", "tables"], rows, empty="There are no policy files."
        )
        for error in loaded.errors.values():
            err.print(error.message, markup=False)
    if loaded.errors:
        raise InputError(f"{len(loaded.errors)} policy file(s) cannot be used; see above.")


def _check_database(database: str, as_json: bool) -> None:
    service = services()
    policy = service.policy(database)
    with recorded_where_possible(service):
        report = service.rules.check(actor(), policy)
    if as_json:
        print_json(report.document())
    else:
        for line in report.lines():
            out.print(line, markup=False)
    if not report.agrees:
        raise InputError(
            f"The policy of {database} does not agree with the database, in {len(report.findings)} point(s).",
            hint="Mend the policy or the database; until then nothing is moved or deleted there.",
        )


@app.command("draft")
def draft(database: DatabaseOption, output: OutputOption = None) -> None:
    """Write a first policy for a database from its catalogue: guesses, each marked `# confirm`."""
    service = services()
    with recorded_where_possible(service):
        made = service.rules.draft(actor(), database)
    _give(made, output)


@app.command("diff")
def diff(
    old: Annotated[Path, typer.Argument(help="A policy file.")],
    new: Annotated[
        Path | None,
        typer.Argument(help="Another one; without it, OLD is compared with the policy that last agreed."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Say what is different between two policies, or between a file and the policy that last agreed."""
    if new is not None:
        changes = policy_changes(policy_document(load_policy(old)), policy_document(load_policy(new)))
    else:
        written = load_policy(old)
        changes = policy_changes(_last_agreed(written.database), policy_document(written))
    if as_json:
        print_json({"changes": list(changes)})
        return
    for change in changes or ("The two policies say the same.",):
        out.print(change, markup=False)


@app.command("explain")
def explain(
    table: Annotated[str, typer.Argument(help="The table with its schema: public.orders.")],
    database: DatabaseOption,
) -> None:
    """Say in plain words what the policy says about a table."""
    for sentence in explain_table(services().policy(database), table):
        out.print(sentence, markup=False)


@app.command("export")
def export(
    database: DatabaseOption,
    output: OutputOption = None,
    fideslang: Annotated[
        bool, typer.Option("--fideslang", help="In the form of fideslang, which is the only one.")
    ] = True,
) -> None:
    """Write the policy's data map in the form of fideslang, with keys and types from the database."""
    from strongroom.rules.fideslang import export_fideslang

    service = services()
    text = export_fideslang(service.policy(database), service.rules.catalogue(actor(), database))
    if output is None:
        out.print(text, markup=False, end="")
    else:
        _write_new(output, text)


@app.command("import")
def import_map(
    file: Annotated[Path, typer.Argument(help="A data map in the form of fideslang (YAML).")],
    database: DatabaseOption,
    schema: Annotated[
        str, typer.Option(help="The schema of tables for which the map names none.")
    ] = "public",
    output: OutputOption = None,
) -> None:
    """Write a first policy from another program's data map: guesses, each marked `# confirm`."""
    from strongroom.rules.importing import MAX_BYTES, import_fideslang

    try:
        with file.open("rb") as source:
            data = source.read(MAX_BYTES + 1)
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror}.") from error
    _give(import_fideslang(data, database, schema), output)


def _last_agreed(database: str) -> Mapping[str, Any]:
    record = services().rules.last_agreed(database)
    if record is None or record.policy is None:
        raise NotFoundError(
            f"No policy of {database} has agreed with its database yet.",
            hint=f"`strongroom policy check --database {database}` compares them; or name two files.",
        )
    return record.policy


def _give(made: Draft, output: Path | None) -> None:
    if output is None:
        out.print(made.text(), markup=False, end="")
        return
    _write_new(output, made.text())
    out.print(
        f"{output}: {len(made.tables)} tables, {len(made.subjects)} kinds of people. Go through every line marked "
        "# confirm, then run `strongroom policy check`.",
        markup=False,
    )


def _write_new(output: Path, text: str) -> None:
    try:
        with output.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError as error:
        raise InputError(f"{output} exists already.", hint="Name a new file; none is replaced.") from error
    except OSError as error:
        raise InputError(f"{output} cannot be written: {error.strerror}.") from error


def _directory() -> Path:
    return services().settings.policy_directory
