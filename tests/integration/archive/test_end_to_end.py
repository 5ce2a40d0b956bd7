"""What a sweep moves can be asked and brought back: archive and table together are what the table was."""

from __future__ import annotations

from strongroom.archive.restoring import ArchiveRestorer, RowsWanted
from strongroom.archive.selecting import Person
from tests.integration.archive.place import OPERATOR, Place

TOTALS = "SELECT count(*), sum(total), min(ordered_at), max(order_id) FROM public.orders"
AS_TEXT = (
    "SELECT count(*)::text, sum(total)::text, min(ordered_at)::text, max(order_id)::text FROM public.orders"
)
ROWS = "SELECT ROW(o.*)::text FROM {} o ORDER BY order_id"


def test_what_a_sweep_moved_is_asked_and_comes_back(place: Place) -> None:
    place.run("DROP SCHEMA strongroom CASCADE")
    before = place.run(ROWS.format("public.orders"))
    totals = place.run(AS_TEXT)
    of_one = place.run("SELECT count(*)::text FROM public.orders WHERE customer_id = 42")
    with place.services() as services:
        swept = services.archiver.sweep(OPERATOR, place.policy, place.conninfo, "public.orders")
    assert swept.rows == 1000
    assert place.run("SELECT count(*) FROM public.orders") == [(0,)]
    assert place.ask(TOTALS) == totals
    assert place.ask(TOTALS, live=True) == totals
    person = Person("customer", "customer_id", "42")
    assert place.ask("SELECT count(*) FROM orders WHERE customer_id = 42", person=person) == of_one
    wanted = RowsWanted("public.orders", "public.found")
    assert ArchiveRestorer(place.parts).restore(OPERATOR, place.policy, wanted, place.conninfo).rows == 1000
    assert place.run(ROWS.format("public.found")) == before
