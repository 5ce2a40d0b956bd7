"""`strongroom catalog`: the control database's index, made again from the bucket or compared with it."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from strongroom.cli.context import JsonOption, actor, services
from strongroom.cli.output import err, out, print_facts, print_json, print_table
from strongroom.errors import StrongroomError

if TYPE_CHECKING:
    from strongroom.backup.indexing import IndexReport, Tally

app = typer.Typer(help="Make the index again from the bucket, or compare the two.", no_args_is_help=True)


@app.command("rebuild")
def rebuild(
    forget: Annotated[
        bool, typer.Option("--forget", help="Also remove rows that nothing in the bucket stands behind.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Index every backup, proof and object in the bucket that can be believed; tell what cannot."""
    service = services()
    publishes = service.settings.signing_key is not None
    try:
        report = service.catalog.rebuild(actor(), forget=forget)
    except BaseException:
        with suppress(StrongroomError):
            service.seal_audit_log(actor())
        raise
    _show(report, as_json, "The index is what the bucket holds.")
    service.holds.index()
    if publishes:
        service.seal_audit_log(actor())
    else:
        err.print("This host has no signing key: another one publishes the log entry of this rebuild.")
    _end(report, wrong=report.problem_count > 0)


@app.command("check")
def check(as_json: JsonOption = False) -> None:
    """Compare the index with the bucket, and change nothing."""
    report = services().catalog.check(actor())
    _show(report, as_json, "Index and bucket agree.")
    _end(report, wrong=bool(report.problem_count or report.differences or report.log_behind))


def _show(report: IndexReport, as_json: bool, good: str) -> None:
    if as_json:
        print_json({**asdict(report), "differences": report.differences})
        return
    print_facts(
        {
            "backups": _line(report.backups),
            "proofs": _line(report.proofs),
            "objects": _line(report.objects),
            "copies": _line(report.copies, "their stores and the log"),
            "key records": report.epochs,
            "unfinished backups": report.unfinished_backups,
            "audit log": f"{report.log_entries} entries, {report.log_behind} of them new to the control database",
            "rows forgotten": report.forgotten,
        }
    )
    if report.findings:
        rows = [(item.problem.replace("_", " "), item.key, item.detail) for item in report.findings]
        print_table("Wrong", ["problem", "object", "what"], rows, empty="")
    elif not report.differences:
        out.print(good, markup=False)


def _line(tally: Tally, where: str = "the bucket") -> str:
    return f"{tally.found} in {where}, {tally.added} new to the index, {tally.changed} changed"


def _end(report: IndexReport, *, wrong: bool) -> None:
    from strongroom.backup.indexing import CatalogFindingsError

    if wrong:
        raise CatalogFindingsError(
            f"{report.problem_count} things are wrong, {report.differences} rows differ from the bucket.",
            hint="What is wrong is listed above. `strongroom catalog rebuild` indexes what can be believed; "
            "with --forget it drops rows that nothing stands behind.",
        )
