"""Events say what happened in numbers and references, in one canonical form, and nothing about people."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strongroom.access import Actor, ActorKind, Role, RunReference
from strongroom.audit import (
    EntryError,
    Event,
    EventRefusedError,
    EventTooLargeError,
    EventType,
    PolicyReference,
    Target,
)
from strongroom.audit.entries import parse_entry
from strongroom.audit.events import MAX_EVENT_BYTES, event_bytes, event_document
from strongroom.audit.identifiers import uuid7
from strongroom.audit.sink import person_commitment
from strongroom.audit.taxonomy import OCSF_CLASSES

NOW = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)
RUN = RunReference("nightly_backup.shop", "scheduled__2026-11-24T03:00:00+00:00", "take_backup", 2)
ACTOR = Actor("nightly_backup.shop", ActorKind.TASK, frozenset({Role.OPERATOR}), RUN, host="worker-1")
EVENT = Event(
    type=EventType.BACKUP_RUN_EXECUTE,
    phase="result",
    outcome="success",
    actor=ACTOR,
    target=Target("backup", "backups/shop/20261124T030000Z-4f2a", size_bytes=12),
    database="shop",
    counts={"tables": 12, "rows": 200_000},
    hashes={"manifest_sha256": "ab" * 32},
    policy=PolicyReference("cd" * 32, rule_id="orders-6y"),
    correlation_id="20261124T030000Z-4f2a",
    details={"start_lsn": "0/2000028", "seconds": 1.5, "complete": True, "levels": ["L0", "L1"]},
)


def entry_of(event: Event) -> bytes:
    return event_bytes(event, uuid7(NOW), NOW, event.actor.name)


def test_an_event_is_a_cloudevent_with_ocsf_numbers() -> None:
    document = event_document(EVENT, uuid7(NOW), NOW, ACTOR.name)
    assert document["specversion"] == "1.0"
    assert document["source"] == "strongroom/worker-1"
    assert document["time"] == "2026-11-24T03:00:00.000000Z"
    assert document["subject"] == EVENT.target.uri
    data = document["data"]
    assert data["ocsf"]["type_uid"] == data["ocsf"]["class_uid"] * 100 + data["ocsf"]["activity_id"]
    assert data["actor"]["run"]["try_number"] == 2
    assert "error_class" not in data


def test_every_type_has_three_parts_and_an_ocsf_class() -> None:
    assert set(OCSF_CLASSES) == set(EventType)
    assert all(len(kind.split(":")) == 3 for kind in EventType)


def test_an_entry_reads_back_as_what_was_written() -> None:
    event_id, document = parse_entry(entry_of(EVENT), "the entry")
    assert event_id.version == 7
    assert document["data"]["details"]["start_lsn"] == "0/2000028"


@pytest.mark.parametrize("value", ["Dana Doe", "dana@example.org", "line\nbreak", "", "x" * 301, "ü"])
def test_free_text_is_refused_wherever_it_is_put_and_not_repeated(value: str) -> None:
    refused: list[dict[str, Any]] = [
        {"details": {"note": value}},
        {"details": {"list": [value]}},
        {"details": {"deep": {"er": value}}},
        {"target": Target("object", value)},
        {"target": Target(value, "uri")},
        {"target": Target("object", "uri", version_id=value)},
        {"database": value},
        {"correlation_id": value},
        {"error_class": value},
        {"hashes": {"sha256": value}},
        {"counts": {value: 1}},
        {"policy": PolicyReference("ab" * 32, rule_id=value)},
        {"actor": Actor(value, ActorKind.TASK, frozenset(), host="h")},
        {"actor": Actor("task", ActorKind.TASK, frozenset(), host=value)},
        {"actor": Actor("task", ActorKind.TASK, frozenset(), RunReference("d", value, "t"), host="h")},
    ]
    for change in refused:
        with pytest.raises(EventRefusedError) as caught:
            entry_of(replace(EVENT, **change))
        assert not value or value not in str(caught.value)


@pytest.mark.parametrize("value", [object(), b"bytes", float("nan"), float("inf"), 2**53, 2.0**53, {1: 2}])
def test_what_json_cannot_carry_exactly_is_refused(value: object) -> None:
    with pytest.raises(EventRefusedError):
        entry_of(replace(EVENT, details={"value": value}))


def test_nesting_has_an_end() -> None:
    with pytest.raises(EventRefusedError, match="nested"):
        entry_of(replace(EVENT, details={"a": {"b": {"c": {"d": 1}}}}))


def test_an_unknown_type_is_refused() -> None:
    with pytest.raises(EventRefusedError, match="backup:run:dance"):
        replace(EVENT, type="backup:run:dance")


@pytest.mark.parametrize(("phase", "outcome"), [("attempt", "success"), ("result", None)])
def test_only_a_result_has_an_outcome(phase: Any, outcome: Any) -> None:
    with pytest.raises(EventRefusedError):
        replace(EVENT, phase=phase, outcome=outcome)


def test_a_large_event_is_refused() -> None:
    details = {f"item_{number}": "x" * 300 for number in range(110)}
    with pytest.raises(EventTooLargeError, match=str(MAX_EVENT_BYTES)):
        entry_of(replace(EVENT, details=details))


def test_identifiers_sort_by_time_and_are_version_7() -> None:
    first, second = uuid7(NOW), uuid7(NOW.replace(minute=1))
    assert first < second
    assert (first.version, first.variant) == (7, UUID(int=0x8000 << 48).variant)
    assert first.int >> 80 == int(NOW.timestamp() * 1000)


def test_a_commitment_needs_its_salt() -> None:
    commitment = person_commitment(b"s" * 32, "dana")
    assert commitment == person_commitment(b"s" * 32, "dana")
    assert commitment != person_commitment(b"t" * 32, "dana")
    assert "dana" not in commitment


@pytest.mark.parametrize(
    "change",
    [
        lambda entry: b" " + entry,
        lambda entry: entry.replace(b'"phase":"result"', b'"phase": "result"'),
        lambda entry: entry.replace(b'"tables":12', b'"tables":12.0'),
        lambda entry: entry.replace(b'"tables":12', b'"tables":1e400'),
        lambda entry: entry.replace(b'"tables":12', b'"tables":NaN'),
        lambda entry: entry.replace(b'"tables":12', b'"tables":12345678901234567890'),
        lambda entry: entry.replace(b'"tables":12', b'"tables":12,"tables":12'),
        lambda entry: entry.replace(b"shop", b"sh\\u006fp"),
        lambda entry: entry.replace(b"shop", b"sh\xff"),
        lambda entry: entry.replace(b'"id":"', b'"id":"x'),
        lambda entry: entry.replace(b"audit-event:v1", b"audit-event:v9"),
        lambda _: b"[]",
        lambda _: b"[" * 30_000,
        lambda _: b"{}",
        lambda entry: entry + b" " * MAX_EVENT_BYTES,
    ],
)
def test_an_entry_in_any_other_form_does_not_parse(change: Any) -> None:
    entry = entry_of(EVENT)
    assert change(entry) != entry
    with pytest.raises(EntryError):
        parse_entry(change(entry), "the entry")


@given(st.floats(-(2.0**53) + 1, 2.0**53 - 1), st.integers(-(2**53) + 1, 2**53 - 1))
def test_every_number_that_can_be_written_can_be_read(fraction: float, whole: int) -> None:
    entry = entry_of(replace(EVENT, details={"fraction": fraction, "whole": whole}))
    details = parse_entry(entry, "the entry")[1]["data"]["details"]
    assert float(details["fraction"]) == fraction
    assert details["whole"] == whole
    assert json.loads(entry)["data"]["details"]["whole"] == whole
