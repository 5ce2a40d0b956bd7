"""What can be wrong between a policy and the database that it is about."""

from __future__ import annotations

from typing import TYPE_CHECKING

from strongroom.errors import InputError

if TYPE_CHECKING:
    from strongroom.rules.findings import Finding

_MOST_SHOWN = 20


class RulesError(InputError):
    """A policy and its database do not agree; nothing is moved or deleted until they do.

    Args:
        database: the database's name in its policy.
        findings: everything in which they do not agree.
    """

    def __init__(self, database: str, findings: tuple[Finding, ...]) -> None:
        count = "in one point" if len(findings) == 1 else f"in {len(findings)} points"
        lines = [finding.text() for finding in findings[:_MOST_SHOWN]]
        if len(findings) > _MOST_SHOWN:
            lines.append(f"and {len(findings) - _MOST_SHOWN} more")
        super().__init__(
            "\n".join([f"The policy of {database} does not agree with the database {count}:", *lines]),
            hint=f"`strongroom policy check --database {database}` lists them all; mend the policy or the database.",
        )
        self.database = database
        self.findings = findings


class ExchangeError(InputError):
    """A data map of another program cannot be read, or does not fit the policy."""
