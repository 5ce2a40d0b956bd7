"""What a restore from a logical backup came to."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Literal

from strongroom.backup.restoring.copied import Uses, copied_lines
from strongroom.backup.restoring.wording import printable
from strongroom.canonical import JsonObject


@dataclass(frozen=True)
class LogicalRestoreResult:
    """What was restored: names and counts, safe to log and to pass between tasks."""

    kind: Literal["tables", "database"]
    database: str
    backup_id: str
    plan_sha256: str
    """The plan that was executed."""
    target: str
    """The new database, or the new schema."""
    tables: tuple[str, ...]
    """By their names in the backup."""
    compared: int
    """How many of them were found equal to the source's fingerprints."""
    not_compared: tuple[str, ...]
    left_out: tuple[str, ...]
    """What belonged to the tables and did not come along."""
    seconds: float
    from_copies: Uses = ()
    """The objects that a copy gave, since the store had none that was sound."""

    def document(self) -> JsonObject:
        """The result as JSON."""
        return asdict(self)

    def lines(self) -> list[str]:
        """The result as a person reads it."""
        new = "database" if self.kind == "database" else "schema"
        return [
            f"Restored {len(self.tables)} tables of {self.backup_id} into the new {new} {printable(self.target)} in"
            f" {self.seconds:.0f} s; {self.compared} equal the source.",
            *(f"  not compared: {printable(name)}" for name in self.not_compared),
            *(f"  left out: {printable(item)}" for item in self.left_out),
            *copied_lines(self.from_copies),
        ]
