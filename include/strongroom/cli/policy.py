"""`strongroom policy`: the files that say what is protected and how."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from strongroom.cli.context import JsonOption
from strongroom.cli.output import err, print_json, print_table
from strongroom.errors import InputError
from strongroom.policy import load_policies

app = typer.Typer(help="Check the policy files.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    pass


@app.command("check")
def check(
    directory: Annotated[
        Path | None, typer.Argument(help="The folder of policy files; without it, the settings' own.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Check every policy file; each mistake with file, line and a suggestion."""
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


def _directory() -> Path:
    from strongroom.cli.context import services

    return services().settings.policy_directory
