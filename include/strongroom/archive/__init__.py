"""Archives: rows past their time leave the database for sealed Parquet files, and are found there again."""

from strongroom.archive.errors import (
    ArchiveDivergedError,
    ArchiveManifestError,
    NoArchiveRuleError,
    ReadBackError,
    RowsChangedError,
    SweepBlockedError,
    SweepInProgressError,
)
from strongroom.archive.interface import Archiver, Held, MovedPart, SweepSummary
from strongroom.archive.manifest import PartManifest, PartReceipt, PartTable, archive_prefix
from strongroom.archive.persons import PersonIndex, normalised, person_index
from strongroom.archive.standing import Mark, Part, parts_in_force, read_marks, read_parts

__all__ = [
    "ArchiveDivergedError",
    "ArchiveManifestError",
    "Archiver",
    "Held",
    "Mark",
    "MovedPart",
    "NoArchiveRuleError",
    "Part",
    "PartManifest",
    "PartReceipt",
    "PartTable",
    "PersonIndex",
    "ReadBackError",
    "RowsChangedError",
    "SweepBlockedError",
    "SweepInProgressError",
    "SweepSummary",
    "archive_prefix",
    "normalised",
    "parts_in_force",
    "person_index",
    "read_marks",
    "read_parts",
]
