"""What a policy says about proof: what is checked in the restored database, and how fast things must be."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import PlainValidator, WithJsonSchema

from strongroom.durations import Duration
from strongroom.policy.smoke_sql import SmokeSql
from strongroom.policy.suggestions import did_you_mean, shown
from strongroom.policy.words import FileName, Part, check_table


def _fingerprint(value: Any) -> Any:
    if isinstance(value, str):
        if value not in ("all", "none"):
            words = ("all", "none")
            raise ValueError(
                f"must be all, none or a list of tables, not {shown(value)}{did_you_mean(value, words)}"
            )
        return value
    if not isinstance(value, (list, tuple)) or not value:
        raise ValueError("must be all, none or a list of tables")
    for item in value:
        if not isinstance(item, str):
            raise ValueError(f"must be a list of tables, and {shown(item)} is none")
        check_table(item)
    return tuple(value)


Fingerprint = Annotated[
    Literal["all", "none"] | tuple[str, ...],
    PlainValidator(_fingerprint),
    WithJsonSchema(
        {
            "oneOf": [
                {"enum": ["all", "none"]},
                {"type": "array", "items": {"type": "string"}, "minItems": 1},
            ]
        }
    ),
]
"""Which tables are compared with the source: `all`, `none`, or those listed."""


class Verify(Part):
    """What is checked in the restored database, beyond that every byte is there and the server starts."""

    expectations: FileName | None = None
    """The Great Expectations suite, a file in include/expectations."""

    amcheck: bool = True
    """Whether pg_amcheck reads every index and compares it with its table."""

    fingerprint: Fingerprint = "all"
    """Which tables are compared with the source by row count and content."""

    smoke_sql: tuple[SmokeSql, ...] = ()
    """Queries that must give true."""

    random_point: bool = False
    """Whether a random moment of the shipped WAL is restored too, beside the backup's own restore point."""


class Objectives(Part):
    """What the business asked for; a measured value beyond it is a finding."""

    rpo: Duration | None = None
    """The most data that may be lost, as time (recovery point objective)."""

    rto: Duration | None = None
    """The longest a restore may take (recovery time objective)."""
