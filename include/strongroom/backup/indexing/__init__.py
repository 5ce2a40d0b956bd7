"""The index made again from the bucket, which is the truth: `strongroom catalog rebuild` and `catalog check`."""

from strongroom.backup.indexing.errors import CatalogFindingsError
from strongroom.backup.indexing.report import Finding, IndexReport, Problem, Tally
from strongroom.backup.indexing.service import CatalogKeeper, CatalogParts, CatalogRebuilder

__all__ = [
    "CatalogFindingsError",
    "CatalogKeeper",
    "CatalogParts",
    "CatalogRebuilder",
    "Finding",
    "IndexReport",
    "Problem",
    "Tally",
]
