"""`strongroom wal`: shipping WAL, and how far it reaches."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from strongroom.cli.context import DatabaseArgument, JsonOption, actor, recorded, services
from strongroom.cli.output import err, human_bytes, out, print_facts, print_json, print_table

if TYPE_CHECKING:
    from strongroom.backup.continuous import WalStatus

app = typer.Typer(help="Ship the write-ahead log and see how far it reaches.", no_args_is_help=True)


@app.command("ship")
def ship(
    database: DatabaseArgument,
    skip_damaged: Annotated[
        str | None,
        typer.Option(help="A segment to leave out if it is damaged; what follows becomes a new range."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Ship everything that a database has committed up to now into the archive, and on to its copies."""
    from strongroom.backup.copying import ShippedLog

    service = services()
    policy = service.policy(database)
    with recorded(service):
        summary = service.wal_shipper.ship(
            actor(), policy, service.conninfo(database), skip_damaged=skip_damaged
        )
        log = ShippedLog(summary.system_identifier, summary.timeline)
        copied = [service.replicator.follow(actor(), policy, name, log) for name in policy.backup.copies]
    if as_json:
        print_json({**asdict(summary), "copies": [asdict(one) for one in copied]})
        return
    out.print(
        f"Shipped {summary.segments} segment(s) of {database}, {human_bytes(summary.stored_bytes)} stored,"
        f" in {summary.seconds:.1f} s. Covered until {summary.covered_until:%Y-%m-%d %H:%M:%S %Z}.",
        markup=False,
    )
    for one in copied:
        out.print(f"{one.copy}: {one.copied_objects} objects copied, in {one.seconds:.1f} s.", markup=False)
    for warning in summary.warnings:
        err.print(warning, style="yellow", markup=False)


@app.command("stop")
def stop(database: DatabaseArgument, as_json: JsonOption = False) -> None:
    """Drop the slot on the source, so that it no longer keeps WAL: for when shipping is to end."""
    from strongroom.backup.continuous import WalPlan
    from strongroom.backup.continuous.slots import slot_name

    service = services()
    policy = service.policy(database)
    slot = policy.backup.wal.slot if policy.backup.wal else None
    plan = WalPlan(database, policy.sha256, slot or slot_name(database))
    with recorded(service):
        dropped = service.wal_shipper.stop(actor(), plan, service.conninfo(database))
    if as_json:
        print_json({"database": database, "slot": plan.slot, "dropped": dropped})
        return
    out.print(f"The slot {plan.slot} {'is dropped' if dropped else 'was not there'}.", markup=False)
    if policy.backup.wal:
        out.print("Take `backup.wal` out of the policy too: the next run makes the slot again.", markup=False)


@app.command("status")
def status(database: DatabaseArgument, as_json: JsonOption = False) -> None:
    """Show what is archived, up to when, and what waits on the source. Exit status 1 when something is wrong."""
    from strongroom.backup.continuous import WalPlan, wal_status

    service = services()
    plan = WalPlan.from_policy(service.policy(database))
    found = wal_status(service.wal_archive(database), plan, service.conninfo(database))
    if as_json:
        print_json(asdict(found))
    else:
        _print(found)
    if found.problems:
        raise typer.Exit(1)


def _print(found: WalStatus) -> None:
    rows = [
        (
            item.system_identifier,
            item.timeline,
            item.segments,
            human_bytes(item.stored_bytes),
            item.first_segment,
            item.last_segment,
            ", ".join(item.gaps) or "none",
        )
        for item in found.timelines
    ]
    columns = ["cluster", "timeline", "segments", "stored", "first", "last", "missing from"]
    print_table("Archived WAL", columns, rows, empty="Nothing is archived yet.")
    print_facts(dict(_facts(found)))
    for problem in found.problems:
        err.print(problem, style="bold red", markup=False)


def _facts(found: WalStatus) -> Iterator[tuple[str, object]]:
    yield "frontier", found.frontier
    yield "covered until", found.covered_until
    if (source := found.source) is not None:
        lag = f", {source.lag_seconds:.0f} s" if source.lag_seconds is not None else ""
        yield "waiting", f"{human_bytes(source.lag_bytes)}{lag}"
        yield (
            "slot",
            f"{source.slot}: {source.wal_status or 'missing'}, holds {human_bytes(source.held_bytes)}",
        )
    yield "limit", human_bytes(found.max_lag_bytes)
