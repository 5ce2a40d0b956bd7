"""`strongroom verify`: restoring a backup to prove it."""

from __future__ import annotations

from typing import Annotated

import typer

from strongroom.canonical import JsonObject, parse_object
from strongroom.cli.context import DatabaseArgument, JsonOption, actor, services
from strongroom.cli.output import out, print_facts, print_json, print_table
from strongroom.errors import IntegrityError

app = typer.Typer(help="Restore backups into a scratch server and prove them.", no_args_is_help=True)

BackupOption = Annotated[str | None, typer.Option("--backup", help="The backup's id; the newest without it.")]


class ProofFailedError(IntegrityError):
    """A backup was restored and is not what it should be."""


@app.command("run")
def run(database: DatabaseArgument, backup: BackupOption = None, as_json: JsonOption = False) -> None:
    """Restore a backup into a scratch server and prove it, level by level."""
    service = services()
    try:
        proof = service.verifier.verify(actor(), service.policy(database), backup)
    finally:
        service.seal_audit_log(actor())
    document = proof.document()
    print_json(document) if as_json else _print_proof(document)
    if document["result"] != "proven":
        raise ProofFailedError(
            f"The backup {document['backup_id']} is not proven.",
            hint="Look at the failed checks above. Earlier proven backups stay as they are.",
        )


@app.command("show")
def show(
    database: DatabaseArgument,
    backup: BackupOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show the newest proof of a backup."""
    from strongroom.catalog import BackupRepository, ProofRepository
    from strongroom.signing import verify_json

    service = services()
    with service.engine.connect() as connection:
        backup_id = backup or BackupRepository().latest(connection, database).backup_id
        record = ProofRepository().latest(connection, backup_id)
    signed = parse_object(service.store.get_bytes(record.proof_key), record.proof_key)
    document = verify_json(signed, service.verifier_key, record.proof_key)
    print_json(signed) if as_json else _print_proof(document)


def _print_proof(document: JsonObject) -> None:
    rows = [
        (level["level"], level["status"], check["name"], check["status"], check.get("detail") or "")
        for level in document["levels"]
        for check in level["checks"]
    ]
    print_table(
        "Proof", ["level", "result", "check", "", "what was found"], rows, empty="Nothing was checked."
    )
    print_facts(
        {
            "backup": document["backup_id"],
            "result": document["result"],
            "verified": document["verified_at"],
            "time to restore": _seconds(document.get("rto_seconds")),
            "data-loss window": _seconds(document.get("rpo_seconds")),
        }
    )
    for table in document.get("not_comparable", []):
        out.print(f"not comparable: {table}", markup=False)


def _seconds(value: float | None) -> str:
    return "not measured" if value is None else f"{value:.1f} s"
