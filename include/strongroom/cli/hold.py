"""`strongroom hold`: legal holds, which forbid deletion until two people have released them."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

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
from strongroom.cli.output import out, print_facts, print_json, print_table
from strongroom.errors import InputError

if TYPE_CHECKING:
    from strongroom.retention.hold_locks import LockReport
    from strongroom.retention.hold_service import HoldService
    from strongroom.retention.holds import Hold, HoldScope

app = typer.Typer(
    help="Forbid that anything is deleted, until two people say otherwise.", no_args_is_help=True
)

HoldArgument = Annotated[str, typer.Argument(help="The hold's id, as `hold list` prints it.")]


@app.command("place")
def place(
    database: DatabaseArgument,
    reason: Annotated[str, typer.Option(help="The case's reference, such as case-2026-114. No names.")],
    table: Annotated[str | None, typer.Option(help="A table of it: schema.table.")] = None,
    person: Annotated[
        str | None, typer.Option(help="A person's keyed hash, as archives index it; never an identifier.")
    ] = None,
    since: Annotated[str | None, typer.Option(help="With --until: a moment with its time zone.")] = None,
    until: Annotated[str | None, typer.Option(help="With --since: a moment with its time zone.")] = None,
    backup: Annotated[str | None, typer.Option(help="One backup, by its id.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Place a hold on a database, or on a table, a person, a period or a backup of it. It stands at once."""
    scope = _scope(database, table, person, since, until, backup)
    service = services()
    service.policy(database)
    service.require_holdable(scope)
    with recorded(service):
        hold = service.holds.place(actor(), scope, reason, person=account())
        reports = service.holds.enforce(actor())
    if as_json:
        print_json(_facts(hold))
        return
    out.print(f"Placed {hold.id} on {hold.scope.words}: nothing that it reaches is deleted.", markup=False)
    _print_locks(reports)


@app.command("release")
def release(
    hold_id: HoldArgument,
    plan_hash: Annotated[
        str | None, typer.Option("--plan-hash", help="Approve what another account asked for, by its hash.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Ask for a release; or, from another account and with the hash, approve it, and release."""
    service = services()
    with recorded(service):
        holds = service.holds_for(command_account)
        if plan_hash is None:
            _ask(holds, hold_id, as_json)
            return
        released = _approve(holds, hold_id, plan_hash)
        reports = holds.enforce(actor())
    if as_json:
        print_json(_facts(released))
        return
    out.print(f"Released {released.id} on {released.scope.words}.", markup=False)
    _print_locks(reports)


@app.command("list")
def list_holds(
    everything: Annotated[bool, typer.Option("--all", help="Those that were released too.")] = False,
    as_json: JsonOption = False,
) -> None:
    """List the holds that stand, oldest first."""
    found = [hold for hold in services().holds.all() if everything or hold.standing]
    if as_json:
        print_json([_facts(hold) for hold in found])
        return
    rows = [(hold.id, hold.scope.words, hold.reason, hold.placed_at, hold.released_at) for hold in found]
    columns = ["hold", "on", "reason", "placed", "released"]
    print_table("Legal holds", columns, rows, empty="No legal hold stands.")


@app.command("enforce")
def enforce(
    adopt: Annotated[
        bool,
        typer.Option(
            "--adopt", help="Take legal holds that the bucket has already for ours: after a lost index."
        ),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Lock in the bucket and its copies what the holds reach now, and unlock what none reaches any more."""
    service = services()
    with recorded(service):
        reports = service.holds.enforce(actor(), adopt=adopt)
    if as_json:
        print_json([vars(report) for report in reports])
        return
    _print_locks(reports)


def _scope(
    database: str,
    table: str | None,
    person: str | None,
    since: str | None,
    until: str | None,
    backup: str | None,
) -> HoldScope:
    from strongroom.retention.holds import scope_of

    chosen = {"table": table, "person": person, "period": since or until, "backup": backup}
    kinds = [kind for kind, value in chosen.items() if value is not None] or ["database"]
    if len(kinds) > 1:
        raise InputError(
            f"A hold is on one thing, not on {' and '.join(kinds)}.", hint="Place two holds instead."
        )
    return scope_of(
        kinds[0],
        database,
        table=table,
        person=person,
        since=_moment(since),
        until=_moment(until),
        backup_id=backup,
    )


def _moment(text: str | None) -> datetime | None:
    from strongroom.clock import parse_timestamp

    if text is None:
        return None
    try:
        return parse_timestamp(text)
    except ValueError as error:
        raise InputError(
            f"{text[:40]!r} is no moment with a time zone.", hint="Write it as 2026-11-24T22:10:05+01:00."
        ) from error


def _run(hold_id: str) -> str:
    return f"command/hold_release/{hold_id}"


def _ask(holds: HoldService, hold_id: str, as_json: bool) -> None:
    from strongroom.retention.hold_service import sought

    plan = holds.plan_release(hold_id)
    holds.approvals.ask(sought(plan), _run(hold_id), account().name, holds.now())
    if as_json:
        print_json({"hold": _facts(plan.hold), "plan_sha256": plan.sha256})
        return
    for line in plan.lines():
        out.print(line, markup=False)
    command = f"strongroom hold release {hold_id} --plan-hash {plan.sha256}"
    out.print(
        f"It waits for a second person, who runs from an account of their own:\n{command}", markup=False
    )


def _approve(holds: HoldService, hold_id: str, plan_hash: str) -> Hold:
    from strongroom.access import Decision

    plan, run = holds.plan_release(hold_id), _run(hold_id)
    asked = holds.approvals.asked(run)
    decision = Decision(
        approved=True,
        plan_sha256=plan_hash,
        requested_by=asked.requested_by if asked else None,
        decided_by=account().name,
        decided_at=holds.now(),
        run=run,
    )
    holds.decide_release(plan, decision)
    return holds.release(actor(), plan, run)


def _facts(hold: Hold) -> dict[str, Any]:
    from strongroom.retention.hold_records import document

    return {**document(hold), "on": hold.scope.words, "placed_by": hold.placed_by}


def _print_locks(reports: tuple[LockReport, ...]) -> None:
    for report in reports:
        if not report.supported:
            out.print(f"{report.store}: it has no legal holds; Strongroom alone keeps to them.", markup=False)
            continue
        print_facts(
            {
                f"{report.store}: object versions under hold": report.held,
                "  locked now": report.locked,
                "  unlocked now": report.unlocked,
                "  under somebody else's hold already": report.foreign,
            }
        )
