"""`strongroom keys`: the key epochs, and the escrow recipients."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from strongroom.cli.context import JsonOption, account, actor, command_account, recorded, services
from strongroom.cli.output import out, print_facts, print_json, print_table
from strongroom.sealing import Epoch

if TYPE_CHECKING:
    from strongroom.retention.destruction import KeyDestroyer
    from strongroom.retention.destruction_plan import DestructionPlan

app = typer.Typer(help="Make and show the keys that backups are sealed with.", no_args_is_help=True)


@app.command("init")
def init(
    name: Annotated[
        str, typer.Option(help="The signing key's name and the log's origin: a name of yours.")
    ] = "strongroom.local",
    escrow: Annotated[
        str | None, typer.Option(help="A recipient (age1…) whose private half you keep away from here.")
    ] = None,
    new_escrow: Annotated[
        Path | None, typer.Option(help="Make an escrow key in this new file, for you to move away.")
    ] = None,
    days: Annotated[int, typer.Option(help="For how many days the first epoch may seal.", min=1)] = 365,
    as_json: JsonOption = False,
) -> None:
    """Make what is missing: signing key, key file, first epoch, escrow recipient. Again is harmless."""
    from strongroom.errors import InputError
    from strongroom.installation import initialise_keys, write_escrow_identity

    if escrow and new_escrow:
        raise InputError("Give either --escrow or --new-escrow, not both.")
    recipient = write_escrow_identity(new_escrow) if new_escrow else escrow
    service = services()
    with recorded(service):
        made = initialise_keys(service, actor(), name=name, escrow=recipient, lifetime=timedelta(days=days))
    facts = {
        "signing key": made.signing_key or "there already",
        "key file": made.key_file or "there already",
        "verifier key": str(service.verifier_key),
        "epoch": made.epoch.id,
        "escrows": ", ".join(epoch.id for epoch in made.escrows) or "none",
    }
    if as_json:
        print_json(facts)
        return
    print_facts(facts)
    _advise(new_escrow, made.escrows)


def _advise(new_escrow: Path | None, escrows: Any) -> None:
    if new_escrow is not None:
        out.print(f"Move {new_escrow} off this machine now: it opens every backup.", markup=False)
    elif not escrows:
        out.print(
            "There is no escrow recipient: if the key file is lost, every backup is lost. Add one with --escrow.",
            markup=False,
        )


@app.command("list")
def list_keys(as_json: JsonOption = False) -> None:
    """List the epochs and escrow recipients, oldest first."""
    service = services()
    epochs = service.keyring.epochs()
    if as_json:
        print_json([_public(epoch) for epoch in epochs])
        return
    now = service.clock.now()
    rows = [
        (
            epoch.id,
            epoch.purpose,
            epoch.created_at,
            epoch.not_after or "no end",
            "yes" if epoch.may_seal(now) else "no",
            _private_half(epoch),
        )
        for epoch in epochs
    ]
    columns = ["epoch", "purpose", "made", "seals until", "seals now", "private half"]
    print_table("Keys", columns, rows, empty="There are no keys yet: strongroom keys init")


@app.command("show")
def show(
    epoch_id: Annotated[str, typer.Argument(help="The epoch's id, as `keys list` prints it.")],
    as_json: JsonOption = False,
) -> None:
    """Show one epoch: its recipient, its period, and who wraps its private half."""
    from strongroom.sealing import EpochNotFoundError

    epochs = {epoch.id: epoch for epoch in services().keyring.epochs()}
    if epoch_id not in epochs:
        raise EpochNotFoundError(f"There is no epoch {epoch_id}.", hint="`strongroom keys list` shows them.")
    facts = _public(epochs[epoch_id])
    print_json(facts) if as_json else print_facts(facts)


@app.command("rotate")
def rotate(
    purpose: Annotated[str, typer.Option(help="What the new epoch seals.")] = "backup",
    days: Annotated[int, typer.Option(help="For how many days it may seal.", min=1)] = 365,
    post_quantum: Annotated[
        bool, typer.Option("--post-quantum", help="Make an X-Wing key instead of X25519.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Make a new epoch: what is sealed from now on is sealed to it."""
    service = services()
    with recorded(service):
        epoch = service.key_rotation.rotate(
            actor(), purpose=purpose, lifetime=timedelta(days=days), post_quantum=post_quantum
        )
    if as_json:
        print_json(_public(epoch))
        return
    out.print(f"From now on {epoch.id} seals what is of the purpose {purpose}.", markup=False)
    out.print("Bring what is there already to it with: strongroom keys rewrap", markup=False)


@app.command("rewrap")
def rewrap(
    database: Annotated[str | None, typer.Option(help="One database's objects; all without it.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Give what older epochs open a header for the current ones, here and in the copies; the payload stays."""
    service = services()
    with recorded(service):
        report = service.rewrapper.run(actor(), database)
    if as_json:
        print_json(vars(report))
        return
    print_facts({"rewrapped": report.rewrapped, "had it already": report.current})
    if report.old_versions:
        out.print(
            f"{report.old_versions} versions with an older header stay for now: a lock or a hold forbids to delete"
            " them. The older key still opens those; run this again when it does not.",
            markup=False,
        )


@app.command("destroy")
def destroy(
    epoch_id: Annotated[str, typer.Argument(help="The epoch's id, as `keys list` prints it.")],
    plan_hash: Annotated[
        str | None, typer.Option("--plan-hash", help="Approve what another account asked for, by its hash.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Ask to destroy an epoch's private half; or, from another account and with the hash, approve and do it."""
    service = services()
    destroyer = service.key_destroyer_for(command_account)
    run = f"command/key_destruction/{epoch_id}"
    with recorded(service):
        plan = destroyer.plan(actor(), epoch_id)
        if not as_json:
            for line in plan.lines():
                out.print(line, markup=False)
        if plan_hash is None:
            destroyer.ask(plan, run, account().name)
        else:
            _approve_destruction(destroyer, plan, run, plan_hash, service.clock.now())
            destroyer.destroy(actor(), plan, run)
    if as_json:
        print_json({**plan.document(), "plan_sha256": plan.sha256, "destroyed": plan_hash is not None})
    elif plan_hash is None:
        command = f"strongroom keys destroy {epoch_id} --plan-hash {plan.sha256}"
        out.print(
            f"It waits for a second person, who runs from an account of their own:\n{command}", markup=False
        )
    else:
        out.print(f"The private half of {epoch_id} is destroyed.", markup=False)


def _approve_destruction(
    destroyer: KeyDestroyer, plan: DestructionPlan, run: str, plan_hash: str, now: datetime
) -> None:
    from strongroom.access import Decision

    asked = destroyer.asked_by(run)
    destroyer.decide(plan, Decision(True, plan_hash, asked, account().name, now, run))


def _private_half(epoch: Epoch) -> str:
    if epoch.destroyed_at is not None:
        return f"destroyed {epoch.destroyed_at:%Y-%m-%d}"
    return epoch.wrapped.provider if epoch.wrapped else "kept elsewhere"


def _public(epoch: Epoch) -> dict[str, Any]:
    """What may be shown of an epoch: never the wrapped private half."""
    return {
        "id": epoch.id,
        "purpose": epoch.purpose,
        "recipient": epoch.recipient,
        "created_at": epoch.created_at,
        "not_after": epoch.not_after,
        "destroyed_at": epoch.destroyed_at,
        "wrapped_by": epoch.wrapped.provider if epoch.wrapped else None,
        "wrapping_key": epoch.wrapped.key if epoch.wrapped else None,
    }
