"""Policies beside their databases."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from strongroom.services.foundations import Foundations

if TYPE_CHECKING:
    from strongroom.rules.service import RulesService


class RuleServices(Foundations):
    """What compares policies with live databases."""

    @cached_property
    def rules(self) -> RulesService:
        """Compares policies with databases; without a control database it remembers and records nothing."""
        from strongroom.rules.service import Memory, RulesParts, RulesService

        memory = Memory(lambda: self.engine, self.sink) if self.has_control_database else None
        return RulesService(RulesParts(conninfo=self.conninfo, memory=memory, clock=self.clock))
