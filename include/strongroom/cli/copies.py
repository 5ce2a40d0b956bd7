"""`strongroom copy`: further stores that hold the same sealed objects."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from strongroom.cli.context import DatabaseArgument, JsonOption, actor, recorded, services
from strongroom.cli.output import human_bytes, out, print_json, print_table
from strongroom.policy import Policy

app = typer.Typer(help="Copy sealed objects to further stores, unopened.", no_args_is_help=True)

To = Annotated[str | None, typer.Option("--to", help="One copy's name; all of the policy's without it.")]


@app.command("run")
def run(database: DatabaseArgument, to: To = None, as_json: JsonOption = False) -> None:
    """Bring the copies of a database up to the store. Again is harmless."""
    service = services()
    policy = service.policy(database)
    names = _names(policy, to)
    with recorded(service):
        reports = [service.replicator.run(actor(), policy, name) for name in names]
    if as_json:
        print_json([asdict(report) for report in reports])
        return
    for report in reports:
        out.print(
            f"{report.copy} holds {len(report.backups)} backups of {database}, {len(report.new_backups)} of them"
            f" new: {report.copied_objects} objects copied, {human_bytes(report.copied_bytes)},"
            f" in {report.seconds:.0f} s.",
            markup=False,
        )


@app.command("status")
def status(database: DatabaseArgument, as_json: JsonOption = False) -> None:
    """Show what each copy of a database holds, and what was proven of it."""
    service = services()
    found = [service.replicator.status(database, name) for name in _names(service.policy(database), None)]
    if as_json:
        print_json([asdict(one) for one in found])
        return
    rows = [
        (
            one.copy,
            f"{one.complete} of {one.backups}",
            one.newest or "none",
            one.locked_until or "not locked",
            one.last_run or "never",
            one.outcome or "",
            f"{one.proof} ({one.proven_backup})" if one.proof else "not verified",
        )
        for one in found
    ]
    columns = ["copy", "backups", "newest", "locked until", "last run", "outcome", "proof"]
    print_table(f"Copies of {database}", columns, rows, empty="There is no copy.")


def _names(policy: Policy, to: str | None) -> tuple[str, ...]:
    """The copies that are meant.

    Raises:
        UnknownCopyError: the policy names none, or not this one.
    """
    from strongroom.backup.copying import UnknownCopyError

    names = policy.backup.copies
    if to is not None and to not in names:
        raise UnknownCopyError(
            f"The policy of {policy.database} names no copy {to}.",
            hint=f"Add it to `backup.copies`. There are: {', '.join(names) or 'none'}.",
        )
    if not names:
        raise UnknownCopyError(
            f"The policy of {policy.database} names no copies.",
            hint="Set `backup.copies: [offsite]`, and define `offsite` in the settings' `copies`.",
        )
    return (to,) if to is not None else names
