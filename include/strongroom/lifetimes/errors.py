"""What can go wrong where several runs work on the same things.

StrongroomError
├── RefusedError
│   ├── LeaseHeldError       another run has the lease
│   └── BeingDeletedError    a purge has begun to delete what somebody wants to use
└── TransientError
    └── LeaseLostError       another run took over; this one may not go on
"""

from strongroom.errors import RefusedError, TransientError


class LeaseHeldError(RefusedError):
    """Another run works on the same things now."""


class BeingDeletedError(RefusedError):
    """A purge has begun to delete what somebody wants to use."""


class LeaseLostError(TransientError):
    """The lease is no longer ours: another run took over, or it could not be renewed in time."""
