"""What can go wrong while the sample company is made.

StrongroomError
├── InputError
│   └── SampleSizeError      a size that cannot be made
└── RefusedError
    └── SampleExistsError    the database already holds these tables, or another sample
"""

from __future__ import annotations

from strongroom.errors import InputError, RefusedError


class SampleSizeError(InputError):
    """The size asked for is not a size: no customers, or a text that names no number of bytes."""


class SampleExistsError(RefusedError):
    """The database is not empty, and what it holds is not the sample that was asked for."""
