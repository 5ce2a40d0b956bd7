"""How each PostgreSQL type stands in Arrow and Parquet, such that every value comes back exactly.

| type                                    | in the file                               | beside it            |
|-----------------------------------------|-------------------------------------------|----------------------|
| boolean, smallint, integer, bigint, oid | bool, int16, int32, int64, int64          |                      |
| real, double precision                  | float, double: the same bits              |                      |
| text, varchar, char, name               | string, of char with its blanks           |                      |
| bytea, uuid                             | binary, uuid                              |                      |
| numeric(p, s) of up to 38 digits        | decimal128                                | NaN                  |
| timestamp, timestamptz, date            | timestamp[us], timestamp[us, UTC], date32 | infinity, BC, > 9999 |
| everything else                         | string: the text that PostgreSQL writes   |                      |

The text is what the type's own output function writes under the session settings of `strongroom.postgres.connect`,
and what its input function reads back into the same value. A column with something beside it is followed by a second
one, `<name>::exact`, in which the values stand that do not fit; they are null in the first. Which column is which, and
of what type, stands in the fields' metadata, so a file can be restored without any catalogue.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import pyarrow as pa
import pyarrow.compute as pc
from psycopg import sql

from strongroom.archive.declared import DeclaredColumn, DeclaredTable, declared_table
from strongroom.archive.errors import ArchiveManifestError
from strongroom.postgres import Connection

FORMAT = "strongroom/archive-rows/v1"
_FORMAT_KEY = b"strongroom.format"
_TABLE_KEY = b"strongroom.table"
_PREFIX = "strongroom."
_EXACT_SUFFIX = "::exact"
_DECIMAL_DIGITS = 38
_HEADER_TYPMOD = 4
_SCALE_BITS = 0x7FF
_SCALE_SIGN = 0x400


class Form(enum.StrEnum):
    """How a column stands in the file."""

    NATIVE = "native"
    """Every value has its like in Arrow."""
    NUMBER = "number"
    """A decimal number, with what is not a number beside it."""
    MOMENT = "moment"
    """A date or time, with what lies out of the calendar's range beside it."""
    TEXT = "text"
    """PostgreSQL's own text."""


_NATIVE: dict[int, pa.DataType] = {
    16: pa.bool_(),
    17: pa.binary(),
    19: pa.string(),
    20: pa.int64(),
    21: pa.int16(),
    23: pa.int32(),
    25: pa.string(),
    26: pa.int64(),
    700: pa.float32(),
    701: pa.float64(),
    1042: pa.string(),
    1043: pa.string(),
    2950: pa.uuid(),
}
"""By the types' fixed oids: bool, bytea, name, int8, int2, int4, text, oid, float4, float8, bpchar, varchar, uuid."""
_MOMENTS: dict[int, tuple[pa.DataType, str]] = {
    1082: (pa.date32(), "pg_catalog.date"),
    1114: (pa.timestamp("us"), "pg_catalog.timestamp"),
    1184: (pa.timestamp("us", tz="UTC"), "pg_catalog.timestamptz"),
}
_NUMERIC, _OID, _NAME = 1700, 26, 19


@dataclass(frozen=True)
class ColumnCodec:
    """One column of a table, between PostgreSQL and Arrow."""

    name: str
    type_name: str
    """The declared type, as PostgreSQL writes it."""
    base_name: str
    """The type below all domains."""
    form: Form
    arrow_type: pa.DataType
    is_generated: bool = False
    """Whether the database computes it, so that it is compared when rows come back, and not written."""
    collation: str | None = None
    exact_name: str | None = None
    """The name of the column beside it."""

    def fields(self) -> Iterator[pa.Field]:
        """Its fields in the file."""
        facts = {"type": self.type_name, "base": self.base_name, "form": str(self.form)}
        facts |= {"generated": "yes"} if self.is_generated else {}
        facts |= {"collation": self.collation} if self.collation else {}
        facts |= {"exact": self.exact_name} if self.exact_name else {}
        metadata = {f"{_PREFIX}{name}": value for name, value in facts.items()}
        yield pa.field(self.name, self.arrow_type, metadata=metadata)
        if self.exact_name:
            yield pa.field(self.exact_name, pa.string(), metadata={f"{_PREFIX}exact_of": self.name})


@dataclass(frozen=True)
class Difference:
    """Where two batches first differ. It names no value."""

    row: int | None
    """Counted from 0 in the batch; None when the batches have different columns or numbers of rows."""
    column: str | None


@dataclass(frozen=True)
class TableCodec:
    """The rows of one table, between PostgreSQL and Arrow."""

    table: str
    """As the policy names it; in a file, as it was archived."""
    columns: tuple[ColumnCodec, ...]

    @cached_property
    def schema(self) -> pa.Schema:
        """Of the batches and of the file."""
        metadata = {_FORMAT_KEY: FORMAT.encode(), _TABLE_KEY: self.table.encode()}
        return pa.schema([field for column in self.columns for field in column.fields()], metadata=metadata)

    def equal(self, first: pa.RecordBatch, second: pa.RecordBatch) -> bool:
        """Whether two batches hold the same values: NaN equals NaN, -0 is not 0, null is not empty."""
        return self.first_difference(first, second) is None

    def first_difference(self, first: pa.RecordBatch, second: pa.RecordBatch) -> Difference | None:
        """Where two batches of this table first differ; None when they are equal."""
        if not (first.schema.equals(self.schema) and second.schema.equals(self.schema)):
            return Difference(None, None)
        if first.num_rows != second.num_rows:
            return Difference(None, None)
        for name, one, other in zip(self.schema.names, first.columns, second.columns, strict=True):
            if not _bits(one).equals(_bits(other)):
                return Difference(_first_unequal(_bits(one), _bits(other)), name)
        return None


@dataclass(frozen=True)
class SourceCodec(TableCodec):
    """The codec of a table that is in the database: it also says how to read it."""

    declared: DeclaredTable

    @property
    def select_list(self) -> sql.Composable:
        """What `decode` expects of a query over `declared.source`, in the driver's own types."""
        pairs = zip(self.columns, self.declared.columns, strict=True)
        return sql.SQL(", ").join(part for column, declared in pairs for part in _selected(column, declared))

    def decode(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """A batch of the driver as a batch of this schema."""
        arrays: list[pa.Array] = []
        given = iter(batch.columns)
        for column in self.columns:
            value = next(given)
            if column.form is Form.NUMBER:
                arrays += _split_number(value, column.arrow_type)
            elif column.form is Form.MOMENT:
                arrays += _split_moment(value, next(given))
            else:
                arrays.append(value)
        return pa.RecordBatch.from_arrays(arrays, schema=self.schema)


def table_codec(connection: Connection, table: str) -> SourceCodec:
    """The codec of a table in the database.

    Args:
        connection: made by `strongroom.postgres.connect`.
        table: as a policy names it, `schema.name`.

    Raises:
        NotFoundError: there is no such table.
        UnsupportedTypeError: a column's values would not survive.
    """
    declared = declared_table(connection, table)
    taken = {column.name for column in declared.columns}
    columns = tuple(_column_codec(column, taken) for column in declared.columns)
    return SourceCodec(table, columns, declared)


def file_codec(schema: pa.Schema, what: str) -> TableCodec:
    """The codec of rows in a file, from what the file says about itself.

    Args:
        schema: the file's.
        what: its name, for errors.

    Raises:
        ArchiveManifestError: it is of no format that this version knows.
    """
    metadata = schema.metadata or {}
    if metadata.get(_FORMAT_KEY, b"").decode() != FORMAT:
        raise ArchiveManifestError(
            f"{what} does not hold rows of the format {FORMAT}.",
            hint="A later version of Strongroom may have written it.",
        )
    columns = tuple(_read_column(field) for field in schema if b"strongroom.type" in (field.metadata or {}))
    codec = TableCodec(metadata[_TABLE_KEY].decode(), columns)
    if codec.schema.names != schema.names or codec.schema.types != schema.types:
        raise ArchiveManifestError(f"{what} has columns that it does not describe.")
    return codec


def _column_codec(column: DeclaredColumn, taken: set[str]) -> ColumnCodec:
    form, arrow_type = _form(column)
    exact = None
    if form in (Form.NUMBER, Form.MOMENT):
        exact = column.name + _EXACT_SUFFIX
        while exact in taken:
            exact += _EXACT_SUFFIX
        taken.add(exact)
    return ColumnCodec(
        column.name,
        column.type_name,
        column.base_name,
        form,
        arrow_type,
        column.is_generated,
        column.collation,
        exact,
    )


def _form(column: DeclaredColumn) -> tuple[Form, pa.DataType]:
    if column.base_oid in _NATIVE:
        return Form.NATIVE, _NATIVE[column.base_oid]
    if column.base_oid in _MOMENTS:
        return Form.MOMENT, _MOMENTS[column.base_oid][0]
    if column.base_oid == _NUMERIC and (decimal := _decimal(column.base_typmod)) is not None:
        return Form.NUMBER, decimal
    return Form.TEXT, pa.string()


def _decimal(typmod: int) -> pa.DataType | None:
    """The type for all finite values of `numeric(precision, scale)`; None where Arrow has none that DuckDB reads."""
    if typmod < _HEADER_TYPMOD:
        return None
    precision, scale = (typmod - _HEADER_TYPMOD) >> 16, (typmod - _HEADER_TYPMOD) & _SCALE_BITS
    scale = (scale ^ _SCALE_SIGN) - _SCALE_SIGN
    digits = max(precision - min(scale, 0), scale)
    return pa.decimal128(digits, max(scale, 0)) if digits <= _DECIMAL_DIGITS else None


def _selected(column: ColumnCodec, declared: DeclaredColumn) -> Iterator[sql.Composable]:
    """What to select for one column."""
    name: sql.Composable = sql.Identifier(declared.name)
    if declared.is_domain:
        name = sql.SQL("{}::{}").format(name, sql.SQL(declared.base_name))
    text = sql.SQL("pg_catalog.textin({}({}))").format(sql.Identifier(*declared.output), name)
    if column.form is Form.MOMENT:
        least, beyond = sql.Literal("0001-01-01 00:00:00+00"), sql.Literal("10000-01-01 00:00:00+00")
        moment = sql.SQL(_MOMENTS[declared.base_oid][1])
        outside = sql.SQL("CASE WHEN NOT ({0} >= {1}::{3} AND {0} < {2}::{3}) THEN {4} END")
        yield name
        yield outside.format(name, least, beyond, moment, text)
    elif column.form is Form.NATIVE:
        cast = {_OID: "pg_catalog.int8", _NAME: "pg_catalog.text"}.get(declared.base_oid)
        yield sql.SQL("({})::{}").format(name, sql.SQL(cast)) if cast else name
    else:
        yield text


def _split_number(text: pa.Array, decimal: pa.DataType) -> list[pa.Array]:
    """A constrained numeric is a finite number or NaN."""
    is_nan = pc.starts_with(text, pattern="N")
    if pc.any(is_nan).as_py() is not True:
        return [pc.cast(text, decimal), pa.nulls(len(text), pa.string())]
    nothing = _null(pa.string())
    return [pc.cast(pc.if_else(is_nan, nothing, text), decimal), pc.if_else(is_nan, text, nothing)]


def _split_moment(value: pa.Array, outside: pa.Array) -> list[pa.Array]:
    """The driver gives nonsense for infinity, which is outside."""
    if outside.null_count == len(outside):
        return [value, outside]
    return [pc.if_else(pc.is_valid(outside), _null(value.type), value), outside]


def _null(kind: pa.DataType) -> pa.Scalar:
    """Null of a type. `pa.scalar` would load pandas, which takes 40 MiB."""
    return pa.nulls(1, kind)[0]


def _read_column(field: pa.Field) -> ColumnCodec:
    facts = {key.decode(): value.decode() for key, value in field.metadata.items()}
    return ColumnCodec(
        name=field.name,
        type_name=facts["strongroom.type"],
        base_name=facts["strongroom.base"],
        form=Form(facts["strongroom.form"]),
        arrow_type=field.type,
        is_generated="strongroom.generated" in facts,
        collation=facts.get("strongroom.collation"),
        exact_name=facts.get("strongroom.exact"),
    )


def _bits(values: pa.Array) -> pa.Array:
    """Values of which equality is identity: floating point as its bits, with one NaN."""
    if not pa.types.is_floating(values.type):
        return values
    nan = pa.scalar(float("nan"), values.type)
    same = pc.if_else(pc.is_nan(values), nan, values)
    return same.view(pa.int32() if values.type == pa.float32() else pa.int64())


def _first_unequal(first: pa.Array, second: pa.Array) -> int:
    """The row at which two arrays of the same length, which are not equal, first differ."""
    low, high = 0, len(first)
    while high - low > 1:
        middle = (low + high) // 2
        if first.slice(low, middle - low).equals(second.slice(low, middle - low)):
            low = middle
        else:
            high = middle
    return low
