"""The life of keys: new epochs, and objects brought to them."""

from __future__ import annotations

from functools import cached_property, partial
from typing import TYPE_CHECKING

from strongroom.services.foundations import Foundations

if TYPE_CHECKING:
    from strongroom.vault.rewrapping import Rewrapper
    from strongroom.vault.rotation import KeyRotation


class KeyServices(Foundations):
    """What makes new epochs and rewraps objects to them."""

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
