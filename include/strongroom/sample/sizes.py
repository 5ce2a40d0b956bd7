"""Sizes in bytes, and how many customers make a database of a given size."""

from __future__ import annotations

import re

from strongroom.sample.errors import SampleSizeError

BYTES_PER_CUSTOMER = 13_000
"""What one customer takes in PostgreSQL 18 with all rows and indexes."""

_UNITS = {
    "": 1,
    "K": 10**3,
    "M": 10**6,
    "G": 10**9,
    "T": 10**12,
    "KI": 2**10,
    "MI": 2**20,
    "GI": 2**30,
    "TI": 2**40,
}


def parse_size_bytes(text: str) -> int:
    """The number of bytes that a text such as `5GB`, `512MiB` or `1000000` names.

    Raises:
        SampleSizeError: the text is not a size.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?) ?([KMGT]I?|)B?", text.strip().upper())
    if not match:
        raise SampleSizeError(f"{text!r} is not a size", hint="Write it as 5GB, 512MiB or a number of bytes.")
    return int(float(match[1]) * _UNITS[match[2]])


def customers_for_bytes(size_bytes: int) -> int:
    """How many customers fill a database of about this size."""
    return max(1, size_bytes // BYTES_PER_CUSTOMER)
