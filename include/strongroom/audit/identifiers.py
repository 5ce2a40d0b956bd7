"""Event identifiers: UUID version 7 (RFC 9562, section 5.7), which sort by the time they were made.

48 bits milliseconds since 1970 | 4 bits version 7 | 12 bits random | 2 bits variant | 62 bits random
"""

from __future__ import annotations

import secrets
from datetime import datetime
from uuid import UUID

_RANDOM_BITS = 74
_LOW_BITS = 62


def uuid7(moment: datetime) -> UUID:
    """A new identifier made at a moment, which must be timezone-aware."""
    milliseconds = int(moment.timestamp() * 1000)
    random = secrets.randbits(_RANDOM_BITS)
    high, low = random >> _LOW_BITS, random & ((1 << _LOW_BITS) - 1)
    return UUID(int=milliseconds << 80 | 0x7 << 76 | high << 64 | 0b10 << _LOW_BITS | low)
