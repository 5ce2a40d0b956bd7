"""Legal holds."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property, partial
from typing import TYPE_CHECKING

from strongroom.services.retention import RetentionServices

if TYPE_CHECKING:
    from strongroom.access import Actor
    from strongroom.retention.hold_service import HoldService


class HoldServices(RetentionServices):
    """What places, enforces and releases legal holds."""

    @cached_property
    def holds(self) -> HoldService:
        """Places holds; releases are approved by people with a role in `person_roles`."""
        return self.holds_for(self.person)

    def holds_for(self, person: Callable[[str], Actor]) -> HoldService:
        """The same, where `person` says which roles an account has that approves."""
        from strongroom.retention.hold_service import HoldParts, HoldService

        return HoldService(
            HoldParts(
                store=self.store,
                copies={name: partial(self.stores.copy, name) for name in self.settings.copies},
                engine=self.engine,
                sink=self.sink,
                signer=lambda: self.signer,
                verifier=self.verifier_key,
                clock=self.clock,
                sources=self.lifetime_sources,
                person=person,
            )
        )
