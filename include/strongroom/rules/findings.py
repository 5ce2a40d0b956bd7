"""A point in which a policy and a database do not agree."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class Finding:
    """One point of disagreement. It names tables, columns and rules, never a value."""

    table: str
    """The table as the policy writes it, or `(policy)` for what is about none."""

    code: str
    """The kind of finding for programs, such as `unclassified_column`."""

    what: str
    """The finding as a sentence, with what to do."""

    column: str | None = None
    """The column, where it is about one."""

    def text(self) -> str:
        """`public.customer.email: what`."""
        place = f"{self.table}.{self.column}" if self.column else self.table
        return f"{place}: {self.what}"

    def document(self) -> dict[str, str]:
        """The finding as JSON has it."""
        document = {"table": self.table, "code": self.code, "what": self.what}
        return {**document, "column": self.column} if self.column else document


ABOUT_THE_POLICY = "(policy)"
"""Where a finding stands that is about no table."""
