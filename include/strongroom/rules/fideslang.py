"""Data maps in the form of fideslang (https://ethyca.github.io/fideslang/), as YAML, without its package.

    dataset:
      - fides_key: shop_public               one for each schema; letters, digits and _ . < > -
        fides_meta: {namespace: {database_name: shop, schema: public}}
        collections:
          - name: orders                     a table
            fields:
              - name: customer_id            a column
                data_categories: [user.unique_id]
                fides_meta:
                  primary_key: true
                  data_type: integer
                  references: [{dataset: shop_public, field: customer.customer_id, direction: from}]

What fideslang cannot say (ownership, composite keys, time limits, conditions) is not in an export, and an import asks
for it: the result is a draft to be confirmed. An import refuses what it does not know instead of dropping it, because a
misspelt category is data that nobody would erase.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from strongroom.policy import Policy
from strongroom.policy.erasing import ERASE_METHODS
from strongroom.policy.tables import Column, Link, Table
from strongroom.rules.catalogue import LiveCatalogue, LiveColumn, LiveTable, TableId
from strongroom.rules.references import target_columns

_NOT_IN_A_KEY = re.compile(r"[^a-zA-Z0-9_.<>-]+")
_NUMBERS = {"smallint": "integer", "integer": "integer", "bigint": "integer", "boolean": "boolean"}
_MASKING = {"set_null": "null_rewrite"}
_WITHOUT_DATA = "system.operations"


def export_fideslang(policy: Policy, catalogue: LiveCatalogue) -> str:
    """The policy's data map as fideslang datasets, with keys, types and references from the catalogue."""
    schemas: dict[str, list[dict[str, Any]]] = {}
    for name, table in policy.tables.items():
        live = catalogue.find(name)
        if live is not None:
            schemas.setdefault(live.id.schema, []).append(_collection(policy, name, table, live, catalogue))
    datasets = [
        {
            "fides_key": dataset_key(policy.database, schema),
            "name": f"{policy.database}, schema {schema}",
            "fides_meta": {"namespace": {"database_name": policy.database, "schema": schema}},
            "collections": collections,
        }
        for schema, collections in schemas.items()
    ]
    return yaml.safe_dump({"dataset": datasets}, sort_keys=False, allow_unicode=True, width=120)


def dataset_key(database: str, schema: str) -> str:
    """The key of the dataset of a schema."""
    return _NOT_IN_A_KEY.sub("_", f"{database}_{schema}")


def _collection(
    policy: Policy, name: str, table: Table, live: LiveTable, catalogue: LiveCatalogue
) -> dict[str, Any]:
    collection: dict[str, Any] = {"name": live.id.name}
    if table.exempt:
        collection["description"] = table.exempt
    identities = {
        identifier.column: key
        for subject in policy.subjects.values()
        if subject.table == name
        for key, identifier in subject.identifiers.items()
    }
    collection["fields"] = [
        _field(policy, column, table, live, identities.get(column.name), catalogue) for column in live.columns
    ]
    return collection


def _field(
    policy: Policy,
    column: LiveColumn,
    table: Table,
    live: LiveTable,
    identity: str | None,
    catalogue: LiveCatalogue,
) -> dict[str, Any]:
    rule = table.columns.get(column.name)
    links = [link for link in table.links if column.name in link.columns]
    owned = any(link.meaning in ("owns", "mentions") for link in links)
    category = rule.category if rule else "user.unique_id" if owned else _WITHOUT_DATA
    field: dict[str, Any] = {"name": column.name, "data_categories": [category]}
    meta: dict[str, Any] = {}
    if column.name in live.primary_key:
        meta["primary_key"] = True
    if identity is not None:
        meta["identity"] = identity
    kind = _data_type(column)
    if kind is not None:
        meta["data_type"] = kind
    if column.max_length is not None:
        meta["length"] = column.max_length
    references = [
        reference for link in links for reference in _references(policy, column.name, link, catalogue)
    ]
    if references:
        meta["references"] = references
    masking = _masking(rule)
    if masking is not None:
        meta["masking_strategy_override"] = masking
    if meta:
        field["fides_meta"] = meta
    if rule is not None and rule.paths:
        field["fields"] = [
            {"name": path, "data_categories": [value.category]} for path, value in rule.paths.items()
        ]
    return field


def _references(
    policy: Policy, column: str, link: Link, catalogue: LiveCatalogue
) -> Iterator[dict[str, str]]:
    if link.meaning == "lookup" or link.kind == "polymorphic":
        return  # fideslang follows every reference, and knows no condition
    target = TableId.of(link.to)
    columns = dict(zip(link.columns, target_columns(link, catalogue), strict=False))
    if column in columns:
        yield {
            "dataset": dataset_key(policy.database, target.schema),
            "field": f"{target.name}.{columns[column]}",
            "direction": "from",
        }


def _data_type(column: LiveColumn) -> str | None:
    """fideslang's word for the type; it has none for dates, exact numbers, UUIDs and bytes."""
    if column.base_type in ("json", "jsonb"):
        return "object"
    if column.type_class == "S":
        return "string"
    if column.base_type in ("real", "double precision"):
        return "float"
    return _NUMBERS.get(column.base_type)


def _masking(rule: Column | None) -> Mapping[str, Any] | None:
    if rule is None or rule.erase is None:
        return None
    if rule.erase not in ERASE_METHODS:
        return {"strategy": "string_rewrite", "configuration": {"rewrite_value": rule.erase}}
    if rule.erase in _MASKING:
        return {"strategy": _MASKING[rule.erase]}
    return {"strategy": "random_string_rewrite"} if rule.erase.startswith("random_") else None
