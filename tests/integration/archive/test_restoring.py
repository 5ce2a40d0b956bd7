"""Rows come back from an archive exactly as they were, each once, or none of them does."""

from __future__ import annotations

import json

import pytest
from sqlalchemy import text

from strongroom.access import Actor, ActorKind, Role
from strongroom.archive.errors import ArchiveQueryError, ReadBackError, RowsInTheWayError
from strongroom.archive.restoring import ArchiveRestorer, RowsRestored, RowsWanted
from strongroom.errors import AccessDeniedError, InputError
from strongroom.postgres import PostgresError
from tests.integration.archive.place import OPERATOR, Place

COPY = "CREATE TABLE public.before AS SELECT * FROM public.orders WHERE order_id <= 300"
DIFFER = "(TABLE public.before EXCEPT ALL TABLE {0}) UNION ALL (TABLE {0} EXCEPT ALL TABLE public.before)"


def restore(
    place: Place, into: str, *part_ids: str, table: str = "public.orders", actor: Actor = OPERATOR
) -> RowsRestored:
    wanted = RowsWanted(table, into, part_ids)
    return ArchiveRestorer(place.parts).restore(actor, place.policy, wanted, place.conninfo)


def archived(place: Place) -> None:
    """Three hundred orders in two parts, with values that are easily lost, and a copy of them to compare with."""
    place.run("UPDATE public.orders SET total = 'NaN', tags = '[3:4]={x,NULL}' WHERE order_id = 5")
    place.run(
        "UPDATE public.orders SET ordered_at = '0044-03-15 12:00+00 BC', due = '-infinity' WHERE order_id = 6"
    )
    place.run(COPY)
    place.move("order_id <= 150")
    place.move("order_id <= 300")


def test_rows_come_back_into_a_new_table_exactly(place: Place) -> None:
    archived(place)
    restored = restore(place, "public.found")
    assert restored == RowsRestored("public.orders", "public.found", True, 2, 300, 0)
    assert place.run(DIFFER.format("public.found")) == []


def test_one_part_alone_can_come_back(place: Place) -> None:
    part = place.move("order_id <= 10")
    place.move("order_id <= 30")
    assert restore(place, "public.found", part.part_id).rows == 10
    with pytest.raises(ArchiveQueryError, match="has no finished part 20200101T000000Z-00000000"):
        restore(place, "public.other", "20200101T000000Z-00000000")


def test_restoring_again_into_a_table_with_a_key_writes_nothing_twice(place: Place) -> None:
    archived(place)
    place.run("CREATE TABLE public.kept (LIKE public.orders INCLUDING ALL)")
    assert restore(place, "public.kept").rows == 300
    again = restore(place, "public.kept")
    assert (again.rows, again.already_there) == (0, 300)
    assert place.run(DIFFER.format("public.kept")) == []


def test_other_rows_under_the_same_keys_are_reported_and_stay(place: Place) -> None:
    archived(place)
    place.run("CREATE TABLE public.kept (LIKE public.orders INCLUDING ALL)")
    restore(place, "public.kept")
    place.run(
        "UPDATE public.kept SET total = 1 WHERE order_id IN (7, 8); DELETE FROM public.kept WHERE order_id = 9"
    )
    with pytest.raises(RowsInTheWayError, match="2 other rows under the same order_id"):
        restore(place, "public.kept")
    assert place.run("SELECT count(*) FROM public.kept") == [(299,)]


def test_without_a_key_nothing_is_written_beside_its_like(place: Place) -> None:
    archived(place)
    restore(place, "public.found")
    with pytest.raises(RowsInTheWayError, match="150 rows like the archived ones, and no key"):
        restore(place, "public.found")
    assert place.run("SELECT count(*) FROM public.found") == [(300,)]


def test_a_second_unique_constraint_is_respected(place: Place) -> None:
    place.move("order_id <= 10")
    place.run(
        "CREATE TABLE public.kept (LIKE public.orders INCLUDING ALL); ALTER TABLE public.kept ADD UNIQUE (total)"
    )
    place.run(
        "INSERT INTO public.kept (order_id, customer_id, ordered_at, total) OVERRIDING SYSTEM VALUE"
        " VALUES (999, 1, now(), 0.25)"
    )
    with pytest.raises(RowsInTheWayError, match="kept_total_key forbids it"):
        restore(place, "public.kept")


def test_rows_do_not_come_back_to_the_side_they_left(place: Place) -> None:
    place.move("order_id <= 10")
    with pytest.raises(RowsInTheWayError, match="count as archived"):
        restore(place, "public.orders")
    assert place.ask("SELECT count(*) FROM orders", live=True) == [("1000",)]


def test_a_table_with_other_columns_or_types_is_refused(place: Place) -> None:
    place.move("order_id <= 10")
    place.run("CREATE TABLE public.few (order_id bigint)")
    with pytest.raises(InputError, match=r"public\.few has no column customer_id"):
        restore(place, "public.few")
    place.run(
        "CREATE TABLE public.narrow (LIKE public.orders); ALTER TABLE public.narrow ALTER total TYPE numeric(12, 1)"
    )
    with pytest.raises(InputError, match=r"public\.narrow\.total is numeric\(12,1\)"):
        restore(place, "public.narrow")


def test_a_trigger_that_changes_rows_undoes_everything(place: Place) -> None:
    place.move("order_id <= 10")
    place.run(
        "CREATE TABLE public.kept (LIKE public.orders);"
        "CREATE FUNCTION public.meddle() RETURNS trigger LANGUAGE plpgsql AS"
        " $$BEGIN NEW.total = NEW.total + 1; RETURN NEW; END$$;"
        "CREATE TRIGGER meddle BEFORE INSERT ON public.kept FOR EACH ROW EXECUTE FUNCTION public.meddle()"
    )
    with pytest.raises(ReadBackError, match="changed rows as they were written"):
        restore(place, "public.kept")
    assert place.run("SELECT count(*) FROM public.kept") == [(0,)]


def test_a_failure_leaves_no_table_behind(place: Place) -> None:
    place.move("order_id <= 10")
    with pytest.raises(PostgresError, match="nowhere"):
        restore(place, "nowhere.found")
    with pytest.raises(ArchiveQueryError, match=r"no rows of public\.nothing"):
        restore(place, "public.found", table="public.nothing")
    with pytest.raises(InputError, match="does not name a table"):
        RowsWanted("public.orders", "found; DROP TABLE x")
    assert place.run("SELECT to_regclass('public.found')::text") == [(None,)]


def test_restores_and_refusals_are_recorded(place: Place) -> None:
    place.move("order_id <= 10")
    restore(place, "public.found")
    officer = Actor("officer", ActorKind.PERSON, frozenset({Role.PRIVACY_OFFICER}))
    with pytest.raises(AccessDeniedError):
        restore(place, "public.other", actor=officer)
    with place.world.engine.connect() as connection:
        rows = connection.execute(text("SELECT entry FROM audit_queue ORDER BY id")).scalars()
        told = [json.loads(bytes(row)) for row in rows]
    events = [event["data"] for event in told if event["type"] == "archive:rows:restore"]
    assert [(event["phase"], event.get("outcome")) for event in events] == [
        ("attempt", None),
        ("result", "success"),
    ]
    assert events[-1]["counts"] == {"parts": 1, "rows": 10, "already_there": 0}
    assert told[-1]["type"] == "access:permission:refuse"


def test_the_command_says_what_came_back(place: Place) -> None:
    place.move("order_id <= 10")
    arguments = (
        "restore",
        "shop",
        "--table",
        "public.orders",
        "--into-conn",
        "shop",
        "--into",
        "public.found",
    )
    told = place.command(*arguments)
    assert told.exit_code == 0, told.output
    assert "Restored 10 rows of public.orders from 1 part(s) into the new table public.found" in told.stdout
