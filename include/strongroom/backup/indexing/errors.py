"""What can go wrong when the index is compared with the bucket.

StrongroomError
└── IntegrityError
    └── CatalogFindingsError      something in the bucket or in the index cannot be believed, or is missing
"""

from strongroom.errors import IntegrityError


class CatalogFindingsError(IntegrityError):
    """Index and bucket were compared to the end, and something is wrong with one of them."""
