"""Comparing a policy with a live database: everything in which they do not agree, by name.

coverage     each table and column is classified or exempt, and the policy speaks of nothing that is not there
references   links and foreign keys say the same
erasing      each `erase` fits its column, by type, length, NOT NULL and UNIQUE
lifetimes    the rules about time name columns that hold one, and do not undo one another
trials       each CHECK takes what an erasure would write (asks the server, writes nothing)
"""

from __future__ import annotations

from strongroom.policy import Policy
from strongroom.postgres import Connection
from strongroom.rules.catalogue import LiveCatalogue
from strongroom.rules.coverage import coverage_findings
from strongroom.rules.erasing import erase_findings
from strongroom.rules.errors import RulesError
from strongroom.rules.findings import Finding
from strongroom.rules.lifetimes import lifetime_findings
from strongroom.rules.reading import read_catalogue
from strongroom.rules.references import reference_findings
from strongroom.rules.trials import trial_findings


def check_policy(policy: Policy, catalogue: LiveCatalogue) -> tuple[Finding, ...]:
    """What the catalogue alone shows, sorted by table; nothing where the two agree."""
    found = {
        *coverage_findings(policy, catalogue),
        *reference_findings(policy, catalogue),
        *erase_findings(policy, catalogue),
        *lifetime_findings(policy, catalogue),
    }
    return tuple(sorted(found, key=_place))


def examine(policy: Policy, connection: Connection, catalogue: LiveCatalogue) -> tuple[Finding, ...]:
    """What the catalogue shows and what the server says when it is asked about each CHECK.

    Raises:
        PostgresError: the server refused or did not answer.
    """
    found = {*check_policy(policy, catalogue), *trial_findings(policy, connection, catalogue)}
    return tuple(sorted(found, key=_place))


def require_agreement(policy: Policy, connection: Connection) -> LiveCatalogue:
    """Let a policy pass that agrees with the database; called before rows are moved or deleted.

    Returns:
        The catalogue as it was found, for the caller to work by.

    Raises:
        RulesError: they do not agree; it names every point.
        PostgresError: the server refused or did not answer, so nothing is known.
    """
    catalogue = read_catalogue(connection)
    findings = examine(policy, connection, catalogue)
    if findings:
        raise RulesError(policy.database, findings)
    return catalogue


def _place(finding: Finding) -> tuple[str, str, str, str]:
    return finding.table, finding.column or "", finding.code, finding.what
