"""What every pipeline that leaves something in the bucket tells the retention planner about its lifetime."""

from strongroom.lifetimes.errors import BeingDeletedError, LeaseHeldError, LeaseLostError
from strongroom.lifetimes.items import Item, ItemObject, Kind, LogSpan
from strongroom.lifetimes.lease import Lease, live_lease
from strongroom.lifetimes.source import LifetimeSource
from strongroom.lifetimes.uses import LogFrom, Readers, reading, uses_of

__all__ = [
    "BeingDeletedError",
    "Item",
    "ItemObject",
    "Kind",
    "Lease",
    "LeaseHeldError",
    "LeaseLostError",
    "LifetimeSource",
    "LogFrom",
    "LogSpan",
    "Readers",
    "live_lease",
    "reading",
    "uses_of",
]
