"""`strongroom backup`: taking backups and looking at them."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from strongroom.cli.context import DatabaseArgument, JsonOption, actor, recorded, services
from strongroom.cli.output import human_bytes, out, print_facts, print_json, print_table

if TYPE_CHECKING:
    from strongroom.backup import BackupManifest

app = typer.Typer(help="Take backups and look at them.", no_args_is_help=True)


@app.command("run")
def run(
    database: DatabaseArgument,
    full: Annotated[bool, typer.Option("--full", help="A full one, whatever `full_every` says.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Take a backup of a database now, sealed, into the bucket: incremental where the policy has `full_every`."""
    service = services()
    with recorded(service):
        policy, conninfo = service.policy(database), service.conninfo(database)
        summary = service.backups.run(actor(), policy, conninfo, full=full)
    if as_json:
        print_json(asdict(summary))
        return
    out.print(
        f"Backed up {database} as {summary.backup_id}: {human_bytes(summary.plaintext_bytes)} read,"
        f" {human_bytes(summary.stored_bytes)} stored, in {summary.seconds:.0f} s.",
        markup=False,
    )
    if summary.parent_id is not None:
        out.print(f"It is incremental, on top of {summary.parent_id}.", markup=False)
    elif summary.kind_reason is not None:
        out.print(f"It is full, because {summary.kind_reason}.", markup=False)
    out.print(f"It counts once it is proven: strongroom verify run {database}", markup=False)


@app.command("list")
def list_backups(
    database: Annotated[str | None, typer.Argument(help="One database; all without it.")] = None,
    as_json: JsonOption = False,
) -> None:
    """List the backups, newest first, and whether each is proven."""
    from strongroom.catalog import BackupRepository, ProofRepository

    with services().engine.connect() as connection:
        records = BackupRepository().list(connection, database)
        proofs = ProofRepository().list(connection, database=database)
    results = {proof.backup_id: proof.result for proof in reversed(proofs)}
    if as_json:
        print_json([{**asdict(record), "proof": results.get(record.backup_id)} for record in records])
        return
    rows = [
        (
            record.backup_id,
            record.database,
            record.kind,
            record.parent_id or "",
            record.started_at,
            human_bytes(record.stored_bytes),
            results.get(record.backup_id, "not verified"),
        )
        for record in records
    ]
    columns = ["backup", "database", "kind", "on top of", "taken", "stored", "proof"]
    print_table("Backups", columns, rows, empty="There is no backup yet.")


@app.command("show")
def show(
    backup_id: Annotated[str, typer.Argument(help="The backup's id, as `backup list` prints it.")],
    as_json: JsonOption = False,
) -> None:
    """Show one backup: what it holds and where."""
    from strongroom.catalog import BackupRepository

    service = services()
    with service.engine.connect() as connection:
        record = BackupRepository().get(connection, backup_id)
    manifest = service.read_manifest(record.manifest_key)
    if as_json:
        print_json(manifest.document())
        return
    print_facts(
        {
            "backup": record.backup_id,
            "database": record.database,
            "method": f"{record.method}, {record.kind}",
            **_chain_facts(manifest),
            "started": record.started_at,
            "finished": record.finished_at,
            "WAL": f"{record.start_lsn} to {record.stop_lsn}, timeline {record.timeline}",
            "restore point": record.restore_point,
            "cluster": record.system_identifier,
            "manifest": record.manifest_key,
        }
    )
    rows = [
        (item.name, human_bytes(item.size_bytes), ", ".join(item.epoch_ids), item.sha256)
        for item in manifest.objects
    ]
    print_table("Objects", ["object", "size", "keys", "SHA-256"], rows, empty="The manifest lists nothing.")


def _chain_facts(manifest: BackupManifest) -> dict[str, str]:
    """What it builds on, or why it is full."""
    if manifest.chain is not None:
        chain = manifest.chain
        return {
            "chain": f"number {chain.position} on the full backup {chain.full_id}",
            "on top of": chain.parent_id,
        }
    return {"full, because": manifest.kind_reason} if manifest.kind_reason else {}
