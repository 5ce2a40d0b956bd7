"""L5's three questions: the same content, the business checks met, the policy's own queries true."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from strongroom.backup.fingerprints import FingerprintDocument, TableFingerprint
from strongroom.backup.verification.comparison import (
    Comparison,
    compare,
    unknown_tables,
    wanted_tables,
)
from strongroom.backup.verification.expectations import ExpectationSuite, check_names
from strongroom.backup.verification.expectations_run import ExpectationProcess
from strongroom.backup.verification.recorder import LevelReport
from strongroom.backup.verification.run import RestoreRun, target_database
from strongroom.backup.verification.smoke import ask
from strongroom.postgres import Cluster, Table, connect, databases, table_fingerprints, tables

_NAMED = 10
_WHICH = "cannot tell which database of the server is meant; give the database its policy's name"


def check_fingerprints(restore: RestoreRun, cluster: Cluster, report: LevelReport) -> None:
    """Compare every table's row count and content hash with those of the source."""
    name = "fingerprints"
    wanted = restore.checks.fingerprints
    if wanted == "none":
        report.switched_off(name, "switched off by the policy (verify: fingerprint)")
        return
    if restore.fingerprints is None:
        report.skipped(name, "the backup holds none: it was taken when the policy did not want them")
        return
    unknown = unknown_tables(restore.fingerprints, wanted)
    if unknown:
        report.skipped(name, f"the backup has no fingerprint of {', '.join(unknown)}, which the policy names")
    comparison = _compare_all(restore, restore.fingerprints, cluster)
    restore.not_comparable += comparison.not_comparable
    _report_comparison(report, comparison)


def _compare_all(restore: RestoreRun, source: FingerprintDocument, cluster: Cluster) -> Comparison:
    comparison = Comparison()
    for database in _missing_databases(source, cluster):
        comparison.differences.append(f"the database {database} is missing")
    for database, content in source.databases.items():
        if f"the database {database} is missing" not in comparison.differences:
            _compare_database(restore, source.seed, database, content.tables, cluster, comparison)
    return comparison


def _compare_database(
    restore: RestoreRun,
    seed: int,
    database: str,
    source: Sequence[TableFingerprint],
    cluster: Cluster,
    comparison: Comparison,
) -> None:
    conninfo = cluster.conninfo(database)
    chosen = wanted_tables(source, restore.checks.fingerprints)
    with connect(conninfo, application_name="strongroom verify") as connection:
        present = tables(connection)
    comparable = {(table.schema, table.name) for table in chosen if table.comparable}
    hashed = [
        _in_source_order(restore, table) for table in present if (table.schema, table.name) in comparable
    ]
    compare(comparison, database, chosen, table_fingerprints(conninfo, hashed, seed))
    if restore.checks.fingerprints == "all":
        known = {(table.schema, table.name) for table in source}
        comparison.differences += [
            f"{database}.{table.schema}.{table.name} was not there"
            for table in present
            if (table.schema, table.name) not in known
        ]


def _in_source_order(restore: RestoreRun, table: Table) -> Table:
    """The table with its columns in the order in which the source's fingerprint took them."""
    columns = restore.source_columns.get((table.schema, table.name), table.columns)
    return replace(table, columns=columns) if set(columns) == set(table.columns) else table


def _missing_databases(source: FingerprintDocument, cluster: Cluster) -> list[str]:
    with connect(cluster.conninfo(), application_name="strongroom verify") as connection:
        return sorted(set(source.databases) - set(databases(connection)))


def _report_comparison(report: LevelReport, comparison: Comparison) -> None:
    counts = {
        "equal": comparison.equal,
        "different": len(comparison.differences),
        "not_comparable": len(comparison.not_comparable),
        "rows": comparison.rows,
    }
    if comparison.differences:
        shown = "; ".join(comparison.differences[:_NAMED])
        report.failed(
            "fingerprints",
            f"{shown}. Do not restore from this backup; prove an older one, take a new one.",
            counts,
        )
    elif comparison.equal == 0 and comparison.not_comparable:
        report.skipped("fingerprints", "no table was comparable: all changed while the backup ran")
    else:
        aside = f"; {len(comparison.not_comparable)} not comparable" if comparison.not_comparable else ""
        report.passed("fingerprints", f"{comparison.equal} tables equal the source{aside}", counts)


def check_expectations(restore: RestoreRun, cluster: Cluster, report: LevelReport) -> None:
    """Run the policy's Great Expectations suite against the restored database."""
    name = "expectations"
    if restore.suite is None:
        report.switched_off(name, "the policy names no file of expectations (verify: expectations)")
        return
    dbname = target_database(restore, cluster)
    if dbname is None:
        report.skipped(name, _WHICH)
        return
    problems = check_names(restore.suite, _columns(cluster, dbname))
    if problems:
        report.failed(
            name, "; ".join(problems[:_NAMED]) + ". Correct the file, or look for what became of it."
        )
        return
    _run_suite(restore, restore.suite, cluster, dbname, report)


def _run_suite(
    restore: RestoreRun, suite: ExpectationSuite, cluster: Cluster, dbname: str, report: LevelReport
) -> None:
    process = restore.expectation_process or ExpectationProcess()
    restore.expectation_process = process
    outcome = process.run(suite, cluster, dbname)
    counts = {"met": outcome.met, "not_met": len(outcome.unmet)}
    if outcome.unmet:
        report.failed("expectations", "; ".join(outcome.unmet[:_NAMED]), counts)
    else:
        report.passed("expectations", f"all {outcome.met} of {suite.path.name} are met", counts)


def _columns(cluster: Cluster, dbname: str) -> dict[tuple[str, str], set[str]]:
    query = (
        "SELECT n.nspname, c.relname, array_agg(a.attname::text) FROM pg_catalog.pg_class c"
        " JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
        " JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped"
        " WHERE c.relkind IN ('r', 'p', 'v', 'm') GROUP BY 1, 2"
    )
    with connect(cluster.conninfo(dbname), application_name="strongroom verify") as connection:
        return {(schema, table): set(names) for schema, table, names in connection.execute(query)}


def check_smoke_sql(restore: RestoreRun, cluster: Cluster, report: LevelReport) -> None:
    """Ask the policy's own queries."""
    if not restore.checks.smoke_sql:
        report.switched_off("smoke SQL", "the policy names no query (verify: smoke_sql)")
        return
    dbname = target_database(restore, cluster)
    if dbname is None:
        report.skipped("smoke SQL", _WHICH)
        return
    for number, query in enumerate(restore.checks.smoke_sql, start=1):
        answer = ask(cluster.conninfo(dbname), query, restore.checks.smoke_timeout_seconds)
        name = f"smoke SQL {number}"
        if answer.holds:
            report.passed(name, "true")
        else:
            report.failed(
                name, f"{answer.detail}. It is query {number} of `verify: smoke_sql` in the policy."
            )
