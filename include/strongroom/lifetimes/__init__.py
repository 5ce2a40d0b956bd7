"""What every pipeline that leaves something in the bucket tells the retention planner about its lifetime."""

from strongroom.lifetimes.items import Item, ItemObject, Kind, LogSpan
from strongroom.lifetimes.source import LifetimeSource

__all__ = ["Item", "ItemObject", "Kind", "LifetimeSource", "LogSpan"]
