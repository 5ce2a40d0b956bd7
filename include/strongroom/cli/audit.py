"""`strongroom audit`: the tamper-evident log, checked from the bucket alone."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from strongroom.access import Permission, require
from strongroom.cli.context import JsonOption, actor, recorded, services
from strongroom.cli.output import out, print_facts, print_json, print_table

app = typer.Typer(help="Check the audit log, and prove single events.", no_args_is_help=True)


@app.command("verify")
def verify(as_json: JsonOption = False) -> None:
    """Derive the log's root again from the entries in the bucket, and compare it with the signed one."""
    from strongroom.audit import verify_log

    service = services()
    log = verify_log(service.store, service.verifier_key)
    facts = {"log": service.verifier_key.name, "entries": log.size, "root": log.root.hex()}
    if as_json:
        print_json(facts)
        return
    print_facts(facts)
    out.print("Every entry, every tile and the signed root agree.", markup=False)


@app.command("head")
def head(as_json: JsonOption = False) -> None:
    """Print the published checkpoint: the log's size and root, signed."""
    service = services()
    note = service.store.get_bytes("log/checkpoint").decode()
    if as_json:
        print_json({"checkpoint": note, "verifier_key": str(service.verifier_key)})
        return
    typer.echo(note, nl=False)


@app.command("prove")
def prove(
    event: Annotated[str, typer.Argument(help="The event's id, or its index in the log.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write the proof there instead of printing it.")
    ] = None,
) -> None:
    """Write a tlog-proof: whoever has it, the event and the verifier key can check without us."""
    from uuid import UUID

    from strongroom.audit import prove as prove_event
    from strongroom.errors import InputError

    service = services()
    try:
        what: UUID | int = int(event) if event.isdigit() else UUID(event)
    except ValueError as error:
        raise InputError(f"{event!r} is neither an event's id nor its index.") from error
    text = prove_event(service.store, service.verifier_key, what)
    if output is None:
        typer.echo(text, nl=False)
    else:
        output.write_text(text)
        out.print(f"Wrote {output}", markup=False)


@app.command("seal")
def seal(as_json: JsonOption = False) -> None:
    """Move recorded events into the log and publish it, as tasks do when they end."""
    report = services().seal_audit_log(actor())
    facts = {"sealed": report.sealed, "entries": report.size}
    print_json(facts) if as_json else print_facts(facts)


@app.command("recover")
def recover(as_json: JsonOption = False) -> None:
    """Take published events back that a restored, older control database has lost."""
    require(actor(), Permission.SEAL_AUDIT_LOG)
    report = services().audit_log.recover()
    facts = {"recovered": report.recovered, "entries": report.size}
    print_json(facts) if as_json else print_facts(facts)


@app.command("import")
def import_journals(
    journal: Annotated[
        Path | None, typer.Argument(help="A journal's file; those in the bucket and its copies without it.")
    ] = None,
    trust: Annotated[
        list[str] | None,
        typer.Option(help="A key that signed one, as the restore printed it; this installation's is known."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Take what was done without a control database into the log. Again is harmless."""
    from strongroom.signing import VerifierKey

    service = services()
    keys = [VerifierKey.parse(text) for text in trust or ()]
    with recorded(service):
        imported = service.import_journals(actor(), journal, keys)
    if as_json:
        print_json([asdict(one) for one in imported])
        return
    rows = [
        (one.journal, one.events, one.new, one.unfinished, "its last line is cut" if one.torn else "")
        for one in imported
    ]
    columns = ["journal", "events", "new to the log", "attempts without an end", ""]
    print_table("Journals", columns, rows, empty="There is no journal.")
