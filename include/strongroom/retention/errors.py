"""What can go wrong with retention.

StrongroomError
├── RefusedError
│   ├── PlanChangedError        what the plan rests on has changed, or the hash is another plan's
│   ├── NotApprovedError        nobody else has approved this plan for this run
│   └── PurgeInProgressError    another purge of this database runs now
├── NotFoundError
│   └── PlanNotFoundError       no plan with that hash was made here
└── IntegrityError
    ├── NotGoneError            something that was deleted is still there
    └── KeptMissingError        something that was kept is not there
"""

from strongroom.errors import IntegrityError, NotFoundError, RefusedError


class PlanChangedError(RefusedError):
    """What a plan rests on has changed, or the hash is another plan's."""


class NotApprovedError(RefusedError):
    """Nobody else has approved this plan for this run."""


class PurgeInProgressError(RefusedError):
    """Another purge of this database runs now."""


class PlanNotFoundError(NotFoundError):
    """No plan with that hash was made here."""


class NotGoneError(IntegrityError):
    """Something that was deleted is still there."""


class KeptMissingError(IntegrityError):
    """Something that a plan kept is not there any more."""
