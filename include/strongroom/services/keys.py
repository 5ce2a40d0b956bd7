"""The life of keys: new epochs, objects brought to them, and the end of old ones."""

from __future__ import annotations

from functools import cached_property, partial
from typing import TYPE_CHECKING

from strongroom.services.holds import HoldServices

if TYPE_CHECKING:
    from collections.abc import Callable

    from strongroom.access import Actor
    from strongroom.retention.destruction import KeyDestroyer
    from strongroom.vault.rewrapping import Rewrapper
    from strongroom.vault.rotation import KeyRotation


class KeyServices(HoldServices):
    """What makes new epochs, rewraps objects to them, and destroys old ones."""

    @cached_property
    def key_rotation(self) -> KeyRotation:
        """Makes a new epoch."""
        from strongroom.vault.rotation import KeyRotation, RotationParts

        return KeyRotation(RotationParts(self.keyring, self.provider, self.engine, self.sink, self.signer))

    @cached_property
    def rewrapper(self) -> Rewrapper:
        """Brings objects to the current epochs, here and in the copies."""
        from strongroom.vault.rewrapping import RewrapParts, Rewrapper

        return Rewrapper(
            RewrapParts(
                store=self.store,
                copies={name: partial(self.stores.copy, name) for name in self.settings.copies},
                keyring=self.keyring,
                provider=self.provider,
                engine=self.engine,
                sink=self.sink,
                signer=self.signer,
                clock=self.clock,
            )
        )

    @cached_property
    def key_destroyer(self) -> KeyDestroyer:
        """Destroys private halves; approved by people with a role in `person_roles`."""
        return self.key_destroyer_for(self.person)

    def key_destroyer_for(self, person: Callable[[str], Actor]) -> KeyDestroyer:
        """The same, where `person` says which roles an account has that approves."""
        from strongroom.policy import load_policies
        from strongroom.retention.approvals import PlanApprovals
        from strongroom.retention.destruction import DestructionParts, KeyDestroyer

        parts = DestructionParts(
            store=self.store,
            copies={name: partial(self.stores.copy, name) for name in self.settings.copies},
            keyring=self.keyring,
            engine=self.engine,
            sink=self.sink,
            signer=self.signer,
            clock=self.clock,
            sources=self.lifetime_sources,
            policies=lambda: load_policies(self.settings.policy_directory).policies,
            retention=self.retention,
            holds=self.holds,
            publish=self.audit_log.seal,
        )
        return KeyDestroyer(parts, PlanApprovals(self.engine, self.sink, person))
