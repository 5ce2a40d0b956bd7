"""Rows that get a reason to stay while they are being deleted."""

from __future__ import annotations

import threading
import time

from strongroom.postgres import connect
from strongroom.retention.row_deleting import RowsGone
from strongroom.retention.row_lifetimes import APPLICATION_NAME
from tests.integration.retention.test_rows import Desk, desk

__all__ = ["desk"]

_WAITING = "SELECT count(*) FROM pg_stat_activity WHERE application_name = %s AND wait_event_type = 'Lock'"


def test_a_message_that_is_written_while_its_ticket_is_being_deleted_keeps_it(desk: Desk) -> None:
    desk.estate.policy_text = desk.estate.policy_text.replace(
        "[id, sent]", "[id, sent]\n    retain: {for: 1y, from: sent, then: delete}"
    )
    item = desk.tell()[f"rows/public.ticket/{desk.period}"]
    results: list[RowsGone] = []
    deletion = threading.Thread(target=lambda: results.append(desk.deleter().delete(item)))

    with connect(desk.conninfo, application_name="test") as writer, writer.transaction():
        writer.execute("INSERT INTO public.message VALUES (999, 1, current_date)")
        deletion.start()
        deadline = time.monotonic() + 20
        while desk.connection.execute(_WAITING, (APPLICATION_NAME,)).fetchone() != (1,):
            assert time.monotonic() < deadline
            time.sleep(0.05)
    deletion.join()

    assert desk.connection.execute("SELECT count(*) FROM message WHERE id = 999").fetchone() == (1,)
    assert desk.count("ticket") == 6
    assert results[0].rows == 9
