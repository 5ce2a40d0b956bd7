"""A draft from a data map that another program wrote in the form of fideslang (see `fideslang`)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from strongroom.policy.categories import CATEGORIES, is_personal
from strongroom.policy.suggestions import did_you_mean
from strongroom.rules.catalogue import TableId
from strongroom.rules.drafts import Draft, DraftColumn, DraftLink, DraftTable
from strongroom.rules.errors import ExchangeError
from strongroom.rules.naming import draft_subjects

MAX_BYTES = 4 * 1024 * 1024
"""The longest data map that is read."""

_WHY = "from the data map"
_EXEMPT = "the data map has no personal data here"
_MASKING = {"null_rewrite": "set_null", "random_string_rewrite": "random_text"}
_ERASED = "[erased]"


@dataclass
class _Reading:
    """What was read so far, and what could not be."""

    schemas: dict[str, str]
    """The schema of each dataset, by its key."""
    columns: dict[str, list[DraftColumn]] = field(default_factory=dict)
    plain: dict[str, list[str]] = field(default_factory=dict)
    keys: dict[str, tuple[str, ...]] = field(default_factory=dict)
    people: set[str] = field(default_factory=set)
    links: dict[str, list[DraftLink]] = field(default_factory=dict)
    notes: dict[str, list[str]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def import_fideslang(data: bytes, database: str, schema: str = "public") -> Draft:
    """A draft from fideslang datasets; it loads as a policy, and is to be confirmed.

    Args:
        data: YAML, UTF-8.
        database: the name that the database has here.
        schema: of the tables of datasets that name none.

    Raises:
        ExchangeError: not YAML, no datasets, or something in them that is not known here; all of it is named.
    """
    datasets = _datasets(data)
    reading = _Reading({str(one.get("fides_key")): _schema(one, schema) for one in datasets})
    for dataset in datasets:
        for collection in _items(dataset, "collections"):
            _collection(reading, str(dataset.get("fides_key")), collection)
    if reading.problems:
        raise ExchangeError(
            "The data map has parts that are not known here:\n" + "\n".join(reading.problems),
            hint="Mend them in the data map; nothing is left out silently.",
        )
    tables = tuple(_table(reading, name) for name in sorted(reading.columns))
    return Draft(
        database, draft_subjects(reading.people, reading.keys, tables), tables, "a fideslang data map"
    )


def _datasets(data: bytes) -> list[Mapping[str, Any]]:
    if len(data) > MAX_BYTES:
        raise ExchangeError(f"The data map is longer than {MAX_BYTES // 1024**2} MiB.")
    try:
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(data, Loader=yaml.SafeLoader)):
            raise ExchangeError("The data map has YAML aliases.", hint="Write out what they stand for.")
        document = yaml.safe_load(data)
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise ExchangeError("The data map cannot be read as YAML.") from error
    if not isinstance(document, dict) or not document.get("dataset"):
        raise ExchangeError(
            "The data map holds no `dataset`.", hint="Export datasets, not systems or policies."
        )
    return _items(document, "dataset")


def _items(part: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    items = part.get(key) or []
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise ExchangeError(f"`{key}` of the data map is not a list of mappings.")
    return items


def _schema(dataset: Mapping[str, Any], default: str) -> str:
    namespace = (dataset.get("fides_meta") or {}).get("namespace") or {}
    return str(namespace.get("schema") or default)


def _collection(reading: _Reading, dataset: str, collection: Mapping[str, Any]) -> None:
    name = str(TableId(reading.schemas[dataset], str(collection.get("name"))))
    if name in reading.columns:
        reading.problems.append(f"{name}: stands in the data map twice")
        return
    reading.columns[name], reading.plain[name], reading.notes[name] = [], [], []
    for item in _items(collection, "fields"):
        _field(reading, name, item)


def _field(reading: _Reading, table: str, item: Mapping[str, Any]) -> None:
    name, meta = str(item.get("name")), item.get("fides_meta") or {}
    categories = [*_categories(item), *_nested(item)]
    for category in categories:
        if category not in CATEGORIES:
            guess = did_you_mean(category, CATEGORIES)
            reading.problems.append(
                f"{table}.{name}: the category {category!r} is not in the taxonomy{guess}"
            )
    if meta.get("primary_key"):
        reading.keys[table] = (*reading.keys.get(table, ()), name)
    if meta.get("identity"):
        reading.people.add(table)
    if item.get("fields"):
        reading.notes[table].append(f"{name} has nested fields: write each under paths")
    personal = [category for category in categories if is_personal(category)]
    references = list(_references(reading, table, name, meta))
    if personal and not references:
        reading.columns[table].append(DraftColumn(name, personal[0], _erase(meta, personal[0], item), _WHY))
    elif not references:
        reading.plain[table].append(name)


def _categories(item: Mapping[str, Any]) -> list[str]:
    return [str(category) for category in item.get("data_categories") or []]


def _nested(item: Mapping[str, Any]) -> Iterator[str]:
    for inner in _items(item, "fields"):
        yield from _categories(inner)
        yield from _nested(inner)


def _references(reading: _Reading, table: str, column: str, meta: Mapping[str, Any]) -> Iterator[DraftLink]:
    for reference in meta.get("references") or []:
        dataset, target = str(reference.get("dataset")), str(reference.get("field"))
        if dataset not in reading.schemas or "." not in target:
            reading.problems.append(
                f"{table}.{column}: refers to {dataset}: {target}, which is not in the data map"
            )
            continue
        collection, other = target.split(".", 1)
        theirs = str(TableId(reading.schemas[dataset], collection))
        if reference.get("direction") == "to":
            link = DraftLink((other,), table, "owns", _WHY, to_columns=(column,))
            reading.links.setdefault(theirs, []).append(link)
        else:
            link = DraftLink((column,), theirs, "owns", _WHY, to_columns=(other,))
            reading.links.setdefault(table, []).append(link)
            yield link


def _erase(meta: Mapping[str, Any], category: str, item: Mapping[str, Any]) -> str:
    masking = meta.get("masking_strategy_override") or {}
    strategy = masking.get("strategy")
    if strategy == "string_rewrite":
        text = str((masking.get("configuration") or {}).get("rewrite_value") or "")
        return text if text and not text.replace("_", "").isalnum() else f"[{text or 'erased'}]"
    if strategy in _MASKING:
        return _MASKING[strategy]
    if meta.get("primary_key"):
        return "with_row"
    if item.get("fields") or meta.get("data_type") == "object":
        return "set_empty"
    return "random_email" if category == "user.contact.email" else _ERASED


def _table(reading: _Reading, name: str) -> DraftTable:
    links = tuple(dict.fromkeys(reading.links.get(name, ())))
    columns = tuple(reading.columns[name])
    referred = any(link.to == name for others in reading.links.values() for link in others)
    if not columns and not links and not referred and name not in reading.people:
        return DraftTable(name, exempt=_EXEMPT)
    linked = {column for link in links for column in link.columns}
    return DraftTable(
        name=name,
        columns=tuple(column for column in columns if column.name not in linked),
        not_personal=tuple(column for column in reading.plain[name] if column not in linked),
        links=links,
        notes=tuple(reading.notes[name]),
    )
