"""Pagila and the sample company come back to a chosen second, under load, row for row as they were then.

The log is shipped from a replication slot while they are written to.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from strongroom.backup.restoring.request import RestoreTarget
from strongroom.clock import timestamp
from strongroom.postgres import Cluster
from tests.integration.restoring.company import Writers, clock, company, contents, payments
from tests.integration.restoring.site import Site, opened


@pytest.fixture(scope="module")
def source() -> Iterator[Cluster]:
    with company() as cluster:
        yield cluster


def test_pagila_and_the_sample_at_a_chosen_second(
    source: Cluster, control_url: str, tmp_path: Path, into: Path
) -> None:
    site = Site(tmp_path, control_url, source, dbname="pagila")
    site.make_keys()
    writers = Writers(source)
    with writers.working():
        writers.wait_for(50)
        site.ship_from_slot()
        site.back_up()
        writers.wait_for(100)
        site.ship_from_slot()
        writers.wait_for(100)
        with writers.held():
            expected, rows, second = contents(source.conninfo), payments(source.conninfo), clock(source)
        writers.wait_for(200)
        site.ship_from_slot()
    assert contents(source.conninfo) != expected

    report = site.restore(RestoreTarget.at_time(timestamp(second)), into)
    with opened(report, source) as restored:
        assert contents(restored.conninfo) == expected
        assert payments(restored.conninfo) == rows
