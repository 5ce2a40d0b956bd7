"""What a policy says about a table: its personal columns, whose rows they are, how long they stay."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, WithJsonSchema

from strongroom.durations import Duration
from strongroom.policy.categories import is_personal
from strongroom.policy.erasing import EraseMethod
from strongroom.policy.people import Normalisation
from strongroom.policy.words import Category, ColumnName, Name, Part, TableName, Text

LinkKind = Literal["owns", "shares", "mentions", "lookup", "identity", "polymorphic"]
"""What a reference means; see `Link.kind`."""

LinkRole = Literal["owns", "shares", "mentions", "lookup"]
"""What a reference without a foreign key means; see `Link.role`."""

ErasureBasis = Literal[
    "freedom_of_expression",
    "legal_obligation",
    "public_task",
    "public_health",
    "archiving_and_research",
    "legal_claims",
    "contract",
]
"""Why erasure has to wait: article 17(3) GDPR, or data still necessary for a contract (17(1)(a))."""


def _json_path(text: str) -> str:
    if not text or any(not step for step in text.split(".")):
        raise ValueError(
            f"{text!r} is not a path into JSON; write the keys with dots between, as in contact.email"
        )
    return text


JsonPath = Annotated[
    str, AfterValidator(_json_path), WithJsonSchema({"type": "string", "examples": ["contact.email"]})
]
"""Keys that lead into a JSON document, with dots between."""


class JsonValue(Part):
    """A personal value inside a JSON column."""

    category: Category
    """What it is (fideslang taxonomy)."""

    erase: EraseMethod
    """What replaces it."""


class Column(Part):
    """A column that was looked at: what it holds, and what is left of it after an erasure."""

    category: Category
    """What it holds (fideslang taxonomy). Columns without personal data can stand in `not_personal`."""

    erase: EraseMethod | None = None
    """What replaces a personal value: a method such as random_email, or a text such as "[erased]"."""

    origin: Literal["provided", "observed", "derived"] = "provided"
    """Where it comes from; what was derived is not part of a portability export (article 20 GDPR)."""

    third_party: bool = False
    """Whether it is about somebody else than the row's owner: redacted in what the owner is given."""

    paths: Mapping[JsonPath, JsonValue] = {}
    """Personal values inside a JSON column, by path."""


class Link(Part):
    """A reference from this table's rows to another table's, and what it means for the person there."""

    columns: Annotated[tuple[ColumnName, ...], Field(min_length=1)]
    """The referring columns, several for a composite key."""

    to: TableName
    """The table they refer to."""

    to_columns: tuple[ColumnName, ...] = ()
    """The columns they refer to; without them, the table's primary key."""

    kind: LinkKind
    """`owns`: this row belongs to the person there; `shares`: the row there belongs to all who refer to it, and goes
    with the last; `mentions`: only these columns are the person's; `lookup`: never followed; `identity`: equal
    values without a foreign key; `polymorphic`: only where another column says so."""

    role: LinkRole = "owns"
    """What an identity or polymorphic link means."""

    normalise: Normalisation = "exact"
    """How spellings are made equal (identity only)."""

    path: JsonPath | None = None
    """Where in a JSON column the value is (identity only)."""

    type_column: ColumnName | None = None
    """The column that says which table is meant (polymorphic only)."""

    type_value: Text | None = None
    """What it says when this table is meant (polymorphic only)."""

    on_erase: Literal["delete", "redact", "set_null", "review"] | None = None
    """What happens to the row; without it, what the kind of link implies (delete for `owns`)."""

    on_access: Literal["include", "redact", "exclude"] = "include"
    """Whether the row is part of what the person is given, whole or without other people's columns."""

    @property
    def meaning(self) -> LinkRole:
        """What the link means, whichever way it is recognised."""
        if self.kind in ("identity", "polymorphic"):
            return self.role
        return self.kind  # type: ignore[return-value]  # the four that are left


class Retain(Part):
    """How long rows stay in the database."""

    period: Duration = Field(alias="for")
    """How long (`for` in the file)."""

    start: ColumnName = Field(alias="from")
    """The column with the moment that the time counts from (`from` in the file)."""

    then: Literal["delete", "erase_subject", "archive"]
    """What happens then: the row goes, the person goes, or the archive rule takes the row."""


class Archive(Part):
    """Cold rows move into sealed files."""

    older_than: Duration
    """Rows older than this move."""

    by: ColumnName
    """The column with the moment that the ages count from."""

    keep: Duration
    """The age at which archived rows are deleted, counted from the same moment."""

    purpose: Name
    """Why they are kept: one of the policy's purposes."""


class KeepUntil(Part):
    """Why and until when rows outlive an erasure."""

    period: Duration = Field(alias="for")
    """How long (`for` in the file)."""

    start: ColumnName = Field(alias="from")
    """The column with the moment that the time counts from (`from` in the file)."""

    basis: ErasureBasis
    """What allows it."""

    reference: Text | None = None
    """The law's name and article, for the answer to the person."""


class OnErasure(Part):
    """What an erasure does to rows that cannot simply go."""

    keep_until: KeepUntil | None = None
    """Rows stay until then; without it, they stay for good but redacted."""

    redact: tuple[ColumnName, ...] = ()
    """Columns that are replaced at once, each by its `erase`."""


class Restriction(Part):
    """How a restriction of processing (article 18 GDPR) is enforced in the database."""

    method: Literal["row_security", "view"]
    """`row_security` hides restricted rows by a policy on the table; `view` leaves them out of a view."""

    view: TableName | None = None
    """The view that applications read (view only)."""


class Table(Part):
    """What is known about one table. Partitions are covered by their root."""

    exempt: Text | None = None
    """Why the table holds no personal data; then nothing else is said about it."""

    purpose: tuple[Name, ...] = ()
    """Why its rows are used: some of the policy's purposes."""

    columns: Mapping[ColumnName, Column] = {}
    """The columns that hold personal data, and those worth a category."""

    not_personal: tuple[ColumnName, ...] = ()
    """Columns without personal data. Columns of links need not be repeated here."""

    links: tuple[Link, ...] = ()
    """References to other tables."""

    retain: Retain | None = None
    """How long rows stay."""

    archive: Archive | None = None
    """When cold rows move into sealed files."""

    on_erasure: OnErasure | None = None
    """What an erasure does to rows that cannot simply go."""

    restriction: Restriction | None = None
    """How a restriction of processing is enforced."""

    def personal_columns(self) -> tuple[str, ...]:
        """The columns that hold personal data, in or outside of JSON paths."""
        return tuple(
            name
            for name, column in self.columns.items()
            if is_personal(column.category)
            or any(is_personal(value.category) for value in column.paths.values())
        )

    def classified(self) -> frozenset[str]:
        """Every column that the policy says something about."""
        linked = {column for link in self.links for column in link.columns}
        types = {link.type_column for link in self.links if link.type_column}
        return frozenset({*self.columns, *self.not_personal, *linked, *types})
