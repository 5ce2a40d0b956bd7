"""Why a backup is full where it might have been incremental: a word for machines, a text for people."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class FullReason(StrEnum):
    """What stands in an incremental backup's way."""

    ASKED_FOR = "asked_for"
    FIRST_BACKUP = "first_backup"
    CHAIN_BROKEN = "chain_broken"
    CHAIN_LONG = "chain_long"
    FULL_DUE = "full_due"
    CLOCK_BACK = "clock_back"
    PARENT_LOGICAL = "parent_logical"
    NO_SERVER_MANIFEST = "no_server_manifest"
    SERVER_OLD = "server_old"
    SERVER_CHANGED = "server_changed"
    CLUSTER_CHANGED = "cluster_changed"
    TIMELINE_CHANGED = "timeline_changed"
    CHECKSUMS_CHANGED = "checksums_changed"
    SET_BACK = "set_back"
    SUMMARIES_OFF = "summaries_off"
    SUMMARIES_MISSING = "summaries_missing"
    REFUSED_BY_SERVER = "refused_by_server"


@dataclass(frozen=True)
class WhyFull:
    """The reason for a full backup."""

    reason: FullReason
    text: str
    """A clause that follows "full, because"."""
