"""The program `strongroom`: its commands, and how it ends.

exit 0   done
exit 1   it could not be done
exit 2   the command, a policy or a setting is wrong
exit 3   integrity: something stored is not what it was, or a proof failed
exit 4   what was named does not exist
exit 5   refused: a role, a lock or another run forbids it
exit 75  a server or a network failed; the same command may succeed later
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from strongroom import __version__
from strongroom.cli import (
    archive,
    archive_sweep,
    audit,
    backup,
    catalog,
    copies,
    hold,
    keys,
    policy,
    restore,
    restore_logical,
    retention,
    vault,
    verify,
    wal,
)
from strongroom.cli.context import set_settings_file
from strongroom.cli.output import err
from strongroom.errors import StrongroomError

app = typer.Typer(
    name="strongroom",
    help="Encrypted, proven backups and lifelong data protection for PostgreSQL.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.add_typer(policy.app, name="policy")
app.add_typer(backup.app, name="backup")
app.add_typer(verify.app, name="verify")
restore_logical.register(restore.app)
app.add_typer(restore.app, name="restore")
app.add_typer(wal.app, name="wal")
app.add_typer(copies.app, name="copy")
app.add_typer(retention.app, name="retention")
archive_sweep.register(archive.app)
app.add_typer(archive.app, name="archive")
app.add_typer(keys.app, name="keys")
app.add_typer(hold.app, name="hold")
app.add_typer(audit.app, name="audit")
app.add_typer(catalog.app, name="catalog")
app.command("open")(vault.open_object)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"strongroom {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    settings: Annotated[
        Path | None, typer.Option(help="The settings file, instead of the one that is found.")
    ] = None,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    set_settings_file(settings)


def main() -> None:
    """Run one command and end the process with its exit status."""
    try:
        app()
    except StrongroomError as error:
        err.print(f"Error: {error.message}", style="bold red", markup=False)
        if error.hint:
            err.print(error.hint, markup=False)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        err.print("Interrupted.")
        sys.exit(130)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(1)


if __name__ == "__main__":
    main()
