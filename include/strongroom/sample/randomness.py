"""Fast, repeatable randomness: wheels that are drawn from in whole blocks, and numbers scattered by a hash.

Everything random comes from the Mersenne Twister of the standard library, named by the seed and by what it is
for, so a block is the same in every process and whatever was made before it. Only integer arithmetic decides,
hence no rounding differs between machines.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Sequence
from random import Random
from typing import Generic, TypeVar

T = TypeVar("T")

SLOTS = 1 << 16
_MASK = (1 << 64) - 1


def stream(seed: int, purpose: str, block: int = 0) -> Random:
    """The source of random bits for one purpose in one block."""
    return Random(f"strongroom-sample/{seed}/{purpose}/{block}")  # noqa: S311 - made-up people, no secrets


def words(source: Random, count: int) -> array[int]:
    """`count` uniform numbers below 65,536."""
    numbers = array("H", source.randbytes(2 * count))
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers


def numbers_below(source: Random, limit: int, count: int) -> list[int]:
    """`count` numbers below `limit` (at most 65,536), as good as uniform."""
    return [word * limit >> 16 for word in words(source, count)]


def scattered(number: int, salt: int) -> int:
    """A 32-bit number that depends on `number` and `salt` alone and looks random."""
    mixed = (number * 0x9E3779B97F4A7C15 + salt * 0xD1B54A32D192ED03) & _MASK
    mixed = ((mixed ^ (mixed >> 29)) * 0xBF58476D1CE4E5B9) & _MASK
    return (mixed ^ (mixed >> 32)) & 0xFFFFFFFF


class Wheel(Generic[T]):
    """A wheel of fortune of 65,536 slots: weighted choice at the price of one list lookup.

    Args:
        values: what can be drawn.
        weights: how often, relative to one another; whole numbers. Absent: all alike.
    """

    def __init__(self, values: Sequence[T], weights: Sequence[int] | None = None) -> None:
        shares = weights or [1] * len(values)
        total, reached = sum(shares), 0
        self.slots: list[T] = []
        for value, share in zip(values, shares, strict=True):
            reached += share
            self.slots += [value] * (reached * SLOTS // total - len(self.slots))

    def draw(self, source: Random, count: int) -> list[T]:
        """`count` values, each drawn on its own."""
        return list(map(self.slots.__getitem__, words(source, count)))

    def at(self, number: int) -> T:
        """The value that a scattered number falls on."""
        return self.slots[number & 0xFFFF]
