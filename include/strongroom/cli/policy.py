"""`strongroom policy`: the files that say what is protected and how, and the databases that they are about."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from strongroom.cli.context import JsonOption, actor, recorded, services
from strongroom.cli.output import err, out, print_json, print_table
from strongroom.errors import InputError
from strongroom.policy import load_policies

app = typer.Typer(help="Check, draft and explain the policy files.", no_args_is_help=True)

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
    if service.has_control_database:
        with recorded(service):
            report = service.rules.check(actor(), policy)
    else:
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


def _directory() -> Path:
    return services().settings.policy_directory
