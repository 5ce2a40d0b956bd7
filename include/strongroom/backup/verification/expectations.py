"""The business checks of restored data: a strict YAML file of Great Expectations, one list per table.

    - table: public.customer
      expectations:
        - {type: expect_column_values_to_be_unique, kwargs: {column: customer_id}}
        - type: expect_column_values_to_match_regex
          kwargs: {column: email, regex: "@", mostly: 0.99}

`type` and `kwargs` are Great Expectations' own (greatexpectations.io/expectations). Rows never leave the server.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter, ValidationError

from strongroom.backup.verification.errors import ExpectationFileError

_MAX_BYTES = 1 << 20
_TYPE_HINT = "The types are listed at greatexpectations.io/expectations."


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class _Expectation(_Strict):
    type: Annotated[str, StringConstraints(pattern=r"^expect_[a-z0-9_]+$")]
    kwargs: dict[str, Any] = Field(default_factory=dict)


class _Table(_Strict):
    table: Annotated[str, StringConstraints(pattern=r"^[^.]+\.[^.]+$")]
    expectations: list[_Expectation] = Field(min_length=1)


_SUITE = TypeAdapter(list[_Table])


@dataclass(frozen=True)
class Expectation:
    """One business check, and where it stands.

    Args:
        line: its line in the file, from 1.
    """

    schema: str
    table: str
    type: str
    kwargs: dict[str, Any]
    line: int

    @property
    def columns(self) -> list[str]:
        """The columns that it is about."""
        names = [value for name, value in self.kwargs.items() if name in ("column", "column_A", "column_B")]
        lists = [value for name, value in self.kwargs.items() if name in ("column_list",)]
        return [str(name) for name in [*names, *(item for values in lists for item in values)]]

    @property
    def label(self) -> str:
        """Table, columns and type: what a reader looks for."""
        columns = f"({', '.join(self.columns)})" if self.columns else ""
        return f"{self.schema}.{self.table}{columns} {self.type}"


@dataclass(frozen=True)
class ExpectationSuite:
    """All business checks of one database."""

    path: Path
    expectations: tuple[Expectation, ...]

    def place(self, expectation: Expectation) -> str:
        """File and line, as an editor understands them."""
        return f"{self.path}:{expectation.line}"


def load_expectations(path: Path) -> ExpectationSuite:
    """Read a file of expectations.

    Raises:
        ExpectationFileError: it is not there, not YAML, or not of this form; the message names the line.
    """
    text = _read(path)
    node, document = _parse(path, text)
    try:
        tables = _SUITE.validate_python(document)
    except ValidationError as error:
        problems = "\n".join(
            f"  {path}:{_line(node, item['loc'])}: {_sentence(item)}" for item in error.errors()
        )
        raise ExpectationFileError(
            f"The expectations cannot be used:\n{problems}",
            hint="Each entry has `table: schema.name` and `expectations`, a list of `type` and `kwargs`.",
        ) from error
    return ExpectationSuite(path, tuple(_expectations(node, tables)))


def check_names(suite: ExpectationSuite, columns: dict[tuple[str, str], set[str]]) -> list[str]:
    """Tables and columns that the suite names and the database lacks, as sentences with file and line.

    Args:
        columns: the columns of each (schema, table) of the restored database.
    """
    problems = []
    for expectation in suite.expectations:
        known = columns.get((expectation.schema, expectation.table))
        if known is None:
            problems.append(
                f"{suite.place(expectation)}: there is no table {expectation.schema}.{expectation.table}"
            )
            continue
        missing = [name for name in expectation.columns if name not in known]
        problems += [
            f"{suite.place(expectation)}: {expectation.schema}.{expectation.table} has no column {name}"
            for name in missing
        ]
    return problems


def unknown_type(suite: ExpectationSuite, expectation: Expectation, suggestion: str | None) -> str:
    """The sentence for a type that Great Expectations does not have."""
    near = f" Did you mean {suggestion}?" if suggestion else f" {_TYPE_HINT}"
    return f"{suite.place(expectation)}: Great Expectations has no {expectation.type}.{near}"


def _expectations(node: Any, tables: Sequence[_Table]) -> list[Expectation]:
    found = []
    for index, table in enumerate(tables):
        schema, name = table.table.split(".")
        for number, item in enumerate(table.expectations):
            line = _line(node, (index, "expectations", number))
            found.append(Expectation(schema, name, item.type, item.kwargs, line))
    return found


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_BYTES + 1)
        if len(data) > _MAX_BYTES:
            raise ExpectationFileError(f"The file of expectations {path} is larger than {_MAX_BYTES} bytes.")
        return data.decode()
    except FileNotFoundError as error:
        raise ExpectationFileError(
            f"There is no file of expectations {path}.",
            hint="The policy's `verify: expectations:` names a file in the folder `expectations_directory`.",
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise ExpectationFileError(f"The file of expectations {path} cannot be read: {error}") from error


def _parse(path: Path, text: str) -> tuple[Any, Any]:
    import yaml

    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        _refuse_twins(path, node)
        return node, yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ExpectationFileError(f"{path}:{line}: this is not YAML: {error.problem}") from error
    except yaml.YAMLError as error:
        raise ExpectationFileError(f"{path} is not YAML: {error}") from error


def _refuse_twins(path: Path, node: Any) -> None:
    """YAML lets a later member silently replace an earlier one of the same name; here it is a mistake."""
    import yaml

    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if key.value in seen:
                raise ExpectationFileError(f"{path}:{key.start_mark.line + 1}: {key.value} stands twice.")
            seen.add(key.value)
            _refuse_twins(path, value)
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            _refuse_twins(path, item)


def _line(node: Any, location: Sequence[int | str]) -> int:
    """The line of a place in the document; of its nearest ancestor where it has none itself."""
    import yaml

    for step in location:
        if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
            node = node.value[step]
        elif isinstance(node, yaml.MappingNode):
            inner = [(key, value) for key, value in node.value if key.value == str(step)]
            if not inner:
                break
            key, value = inner[0]
            node = value if not isinstance(value, yaml.ScalarNode) else key
    return int(node.start_mark.line) + 1 if node is not None else 1


def _sentence(item: Any) -> str:
    where = ".".join(str(part) for part in item["loc"] if isinstance(part, str)) or "the file"
    if item["type"] == "extra_forbidden":
        return f"{item['loc'][-1]} is not known here"
    return f"{where}: {item['msg']}"
