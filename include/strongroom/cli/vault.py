"""`strongroom open`: one object of the vault, decrypted to a stream."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from strongroom.cli.context import actor, recorded, services
from strongroom.cli.output import err, human_bytes
from strongroom.errors import InputError
from strongroom.files import new_private_file
from strongroom.vault import OpenedObject


def open_object(
    key: Annotated[str, typer.Argument(help="The object's key in the bucket.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="A new file; standard output without it.")
    ] = None,
    kind: Annotated[
        str | None, typer.Option(help="What it is, for an object that the catalogue does not know.")
    ] = None,
) -> None:
    """Decrypt one object. An error at the end means that what came before must not be used."""
    service = services()
    if output is None and sys.stdout.isatty():
        raise InputError(
            "The content is binary and would go to your terminal.", hint="Use --output FILE, or a pipe."
        )
    with recorded(service), service.vault.fetch(actor(), key, kind=kind) as opened:
        written = _write(opened, output)
    err.print(f"Opened {key}: {human_bytes(written)}", markup=False)


def _write(opened: OpenedObject, output: Path | None) -> int:
    if output is None:
        return sum(sys.stdout.buffer.write(part) for part in opened)
    with new_private_file(output) as target:
        return sum(target.write(part) for part in opened)
