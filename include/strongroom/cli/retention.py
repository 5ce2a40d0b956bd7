"""`strongroom retention`: what is deleted, when and why; planned, approved by its hash, carried out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from strongroom.cli.context import (
    DatabaseArgument,
    JsonOption,
    account,
    actor,
    command_account,
    recorded,
    services,
)
from strongroom.cli.output import out, print_json

if TYPE_CHECKING:
    from strongroom.retention import Purge
    from strongroom.services import Services

app = typer.Typer(help="Plan and carry out what is deleted.", no_args_is_help=True)

HashOption = Annotated[
    str, typer.Option("--plan-hash", help="The hash of the plan, as `retention plan` prints it.")
]


@app.command("plan")
def plan(database: DatabaseArgument, as_json: JsonOption = False) -> None:
    """Say what a purge would delete and what it would keep, each with its reason. Nothing is deleted."""
    service = services()
    with recorded(service):
        purge = service.retention.plan(actor(), service.policy(database))
        if purge.needs_approval:
            _ask(service, purge)
    _print_purge(purge, as_json)
    if not as_json:
        _say_next(purge)


@app.command("show")
def show(
    database: DatabaseArgument,
    plan_hash: Annotated[
        str | None, typer.Option("--plan-hash", help="A plan's hash; the newest plan without it.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Show a plan that was made before, whole."""
    service = services()
    purge = service.retention.find(plan_hash) if plan_hash else service.retention.latest(database)
    _print_purge(purge, as_json)


@app.command("approve")
def approve(database: DatabaseArgument, plan_hash: HashOption) -> None:
    """Approve a plan that somebody else made, from an account of your own."""
    from strongroom.access import Decision
    from strongroom.retention.service import sought

    service = services()
    with recorded(service):
        purge = service.retention.find(plan_hash)
        approvals = service.approvals_for(command_account)
        asked = approvals.asked(run_of(database))
        decision = Decision(
            approved=True,
            plan_sha256=plan_hash,
            requested_by=asked.requested_by if asked and asked.plan_sha256 == purge.sha256 else None,
            decided_by=account().name,
            decided_at=service.clock.now(),
            run=run_of(database),
        )
        approvals.decide(sought(purge), decision)
    out.print(f"Approved. `strongroom retention apply {database} --plan-hash {purge.sha256}` carries it out.")


@app.command("apply")
def apply(database: DatabaseArgument, plan_hash: HashOption, as_json: JsonOption = False) -> None:
    """Carry out a plan by its hash, to the letter."""
    service = services()
    with recorded(service):
        report = service.retention_for(command_account).apply(
            actor(), service.policy(database), plan_hash, run_of(database)
        )
    if as_json:
        print_json(report.document())
        return
    for line in report.lines():
        out.print(line, markup=False)


def run_of(database: str) -> str:
    """The run that approvals at the command line are for."""
    return f"command/retention/{database}"


def _ask(service: Services, purge: Purge) -> None:
    """Note who asks, for a second person to answer."""
    from strongroom.retention.service import sought

    approvals = service.approvals_for(command_account)
    approvals.ask(sought(purge), run_of(purge.database), account().name, service.clock.now())


def _print_purge(purge: Purge, as_json: bool) -> None:
    from strongroom.retention.text import markdown

    if as_json:
        print_json(
            {"purge": purge.document(), "sha256": purge.sha256, "needs_approval": purge.needs_approval}
        )
        return
    out.print(markdown(purge), markup=False, end="")


def _say_next(purge: Purge) -> None:
    from strongroom.retention.text import summary

    out.print("")
    if purge.is_idle:
        return
    command = f"strongroom retention apply {purge.database} --plan-hash {purge.sha256}"
    if purge.needs_approval:
        out.print("A second person approves it from an account of their own:")
        out.print(f"  strongroom retention approve {purge.database} --plan-hash {purge.sha256}", markup=False)
        out.print("and then:")
    else:
        out.print(f"{summary(purge)} To carry it out:", markup=False)
    out.print(f"  {command}", markup=False)
