"""`strongroom verify`: restoring a backup to prove it."""

from __future__ import annotations

from typing import Annotated

import typer

from strongroom.backup.verification import NotProvenError, Proof, read_proof
from strongroom.cli.context import DatabaseArgument, JsonOption, actor, recorded, services
from strongroom.cli.output import out, print_json

app = typer.Typer(help="Restore backups into a scratch server and prove them.", no_args_is_help=True)

BackupOption = Annotated[str | None, typer.Option("--backup", help="The backup's id; the newest without it.")]


StoreOption = Annotated[
    str | None, typer.Option("--store", help="Prove what this copy holds, instead of the store itself.")
]


@app.command("run")
def run(
    database: DatabaseArgument,
    backup: BackupOption = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Restore a backup into a scratch server and prove it, level by level."""
    service = services()
    with recorded(service):
        verifier = service.verifier if store is None else service.verifier_of_copy(store)
        proof = verifier.verify(actor(), service.policy(database), backup)
    _print_proof(proof, as_json)
    if not proof.proven:
        raise NotProvenError.of(proof)


@app.command("show")
def show(
    database: DatabaseArgument,
    backup: BackupOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show the newest proof of a backup."""
    from strongroom.catalog import BackupRepository, ProofRepository

    service = services()
    with service.engine.connect() as connection:
        backup_id = backup or BackupRepository().latest(connection, database).backup_id
        record = ProofRepository().latest(connection, backup_id)
    data = service.store.get_bytes(record.proof_key)
    _print_proof(read_proof(data, service.verifier_key, f"The proof {record.proof_key}"), as_json)


def _print_proof(proof: Proof, as_json: bool) -> None:
    if as_json:
        print_json(proof.document())
        return
    for line in proof.lines():
        out.print(line, markup=False)
