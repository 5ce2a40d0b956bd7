"""Questions to an archive: archived and live rows together are the original set, and nothing else is in reach."""

from __future__ import annotations

import json

import pytest
from sqlalchemy import text

from strongroom.access import Actor, ActorKind, Role
from strongroom.archive.errors import ArchiveManifestError, ArchiveQueryError
from strongroom.archive.selecting import Person
from strongroom.errors import AccessDeniedError, IntegrityError
from tests.integration.archive.place import Place

TOTALS = "SELECT count(*), sum(total), min(ordered_at), max(order_id) FROM public.orders"


def test_archived_and_live_rows_together_give_the_totals_from_before(place: Place) -> None:
    before = place.run(
        "SELECT count(*)::text, sum(total)::text, min(ordered_at)::text, max(order_id)::text FROM public.orders"
    )
    assert place.ask(TOTALS, live=True) == before
    place.move("ordered_at < '2018-03-01' AND order_id % 2 = 0")
    assert place.ask(TOTALS, live=True) == before
    place.move("ordered_at < '2018-03-01'")
    assert place.ask(TOTALS, live=True) == before
    ((archived,),) = place.ask("SELECT count(*) FROM public.orders WHERE doubled = total * 2")
    ((live,),) = place.run("SELECT count(*) FROM public.orders")
    assert int(archived or 0) > 0
    assert int(archived or 0) + live == 1000


def test_a_part_counts_exactly_when_the_source_has_committed_it(place: Place) -> None:
    before = place.ask(TOTALS, live=True)
    place.move("ordered_at < '2018-03-01'", commit=False, receipt=False)
    assert place.ask(TOTALS, live=True) == before
    assert place.ask("SELECT 1", live=False) == [("1",)]
    place.move("order_id <= 10", receipt=False)
    assert place.ask(TOTALS, live=True) == before
    place.move("order_id <= 20", receipt=True)
    assert place.ask("SELECT count(*) FROM orders") == [("10",)]


def test_live_tables_of_the_policy_can_be_joined(place: Place) -> None:
    place.move("ordered_at < '2018-03-01'")
    joined = "SELECT count(*) FROM orders JOIN customer USING (customer_id) WHERE email = 'c7@example.org'"
    assert place.ask(joined, live=True) == [("20",)]


def test_a_question_about_one_person_reads_only_the_files_that_hold_the_person(place: Place) -> None:
    manifests = [place.move(f"customer_id BETWEEN {low} AND {low + 4}") for low in range(1, 51, 5)]
    place.store.read.clear()
    person = Person("customer", "customer_id", "42")
    found = place.ask("SELECT count(*) FROM orders WHERE customer_id = 42", person=person)
    rows = {key for key in place.store.read if key.endswith(".parquet.age")}
    assert found == [("20",)]
    assert rows == {manifests[8].prefix + "public.orders.parquet.age"}
    nobody = Person("customer", "customer_id", "77")
    assert place.ask("SELECT count(*), sum(order_id) FROM orders", person=nobody) == [("0", None)]


def test_infinite_moments_and_numbers_that_are_none_are_not_lost(place: Place) -> None:
    place.run("UPDATE public.orders SET total = 'NaN' WHERE order_id = 5")
    place.run("UPDATE public.orders SET ordered_at = '0044-03-15 12:00+00 BC' WHERE order_id = 6")
    place.move("order_id <= 101")
    assert place.ask("SELECT count(*) FROM orders WHERE due = 'infinity'") == [("2",)]
    assert place.ask("SELECT order_id FROM orders WHERE ordered_at < '0001-01-01'") == [("6",)]
    assert place.ask('SELECT order_id, "total::exact" FROM orders WHERE total IS NULL') == [("5", "NaN")]


def test_columns_that_came_later_are_null_in_older_files(place: Place) -> None:
    place.move("order_id <= 10")
    place.run(
        "ALTER TABLE public.orders ADD COLUMN note text DEFAULT 'new'; ALTER TABLE public.orders DROP COLUMN tags"
    )
    place.move("order_id <= 30")
    assert place.ask("SELECT count(*), count(note), count(tags) FROM orders") == [("30", "20", "10")]
    assert place.ask("SELECT count(*), count(note), count(tags) FROM orders", live=True) == [
        ("1000", "990", "10")
    ]


FORBIDDEN = (
    "SELECT * FROM read_csv('/etc/hostname')",
    "SELECT * FROM read_text('/etc/hostname')",
    "SELECT * FROM '/etc/hostname'",
    "SELECT * FROM glob('/*')",
    "SELECT * FROM question",
    "COPY orders TO '/tmp/orders.csv'",
    "ATTACH '/tmp/x.db'",
    "INSTALL httpfs",
    "SET memory_limit = '8GB'",
    "CREATE TABLE x AS SELECT 1",
    "SELECT 1; SELECT 2",
    "SELECT * FROM nothing_of_the_kind",
    "SELEKT",
    "",
)


def test_nothing_but_the_archive_is_in_reach(place: Place) -> None:
    place.move("order_id <= 10")
    for question in FORBIDDEN:
        with pytest.raises(ArchiveQueryError):
            place.ask(question)


def test_a_question_that_needs_too_much_memory_ends_and_writes_nothing(place: Place) -> None:
    place.move("order_id <= 10")
    with pytest.raises(ArchiveQueryError, match="more than 96MB of memory"):
        place.ask(
            "SELECT max(x) FROM (SELECT repeat(a.i::text, 1000) AS x FROM range(1000000) a(i) ORDER BY 1 OFFSET 9)"
        )


def test_a_file_that_somebody_sealed_anew_is_not_believed(place: Place) -> None:
    first, second = place.move("order_id <= 10"), place.move("order_id <= 20")
    stored = first.stored_rows("public.orders")
    other = second.stored_rows("public.orders")
    assert stored is not None
    assert other is not None
    bucket = place.world.directory / "bucket"
    (bucket / stored.key).chmod(0o644)
    content = (bucket / other.key).read_bytes()
    (bucket / stored.key).write_bytes(content)
    with pytest.raises(IntegrityError, match="is not the object that was recorded"):
        place.ask("SELECT count(*) FROM orders")


def test_a_manifest_that_is_not_the_one_the_source_marked_is_not_believed(place: Place) -> None:
    place.move("order_id <= 10")
    place.run("UPDATE strongroom.archived_part SET manifest_sha256 = 'other'")
    with pytest.raises(ArchiveManifestError, match="not the manifest that the source database recorded"):
        place.ask(TOTALS, live=True)


def test_a_person_that_the_policy_does_not_know_is_refused(place: Place) -> None:
    with pytest.raises(ArchiveQueryError, match="knows no person by customer:phone") as caught:
        place.ask("SELECT 1", person=Person("customer", "phone", "0612345678"))
    assert "0612345678" not in str(caught.value)


def test_questions_are_recorded_without_their_words(place: Place) -> None:
    place.move("order_id <= 10")
    place.ask("SELECT count(*) FROM orders WHERE customer_id = 42")
    with pytest.raises(ArchiveQueryError):
        place.ask("SELECT secret_word")
    auditor = Actor("auditor", ActorKind.PERSON, frozenset({Role.AUDITOR}))
    with pytest.raises(AccessDeniedError):
        place.ask("SELECT 1", actor=auditor)
    with place.world.engine.connect() as connection:
        entries = [
            bytes(row[0]) for row in connection.execute(text("SELECT entry FROM audit_queue ORDER BY id"))
        ]
    told = [json.loads(entry) for entry in entries]
    trail = [
        (event["data"]["phase"], event["data"].get("outcome"))
        for event in told
        if event["type"] == "archive:rows:query"
    ]
    assert trail == [("attempt", None), ("result", "success"), ("attempt", None), ("result", "failure")]
    assert told[-1]["type"] == "access:permission:refuse"
    assert b"secret_word" not in b"".join(entries)
    assert b"customer_id = 42" not in b"".join(entries)
