"""The sample company with ten years of history: eight years of orders move, and no total changes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from psycopg import sql
from sqlalchemy import Engine

from strongroom.archive.sweeping import archived_tables
from strongroom.policy import load_policy
from strongroom.postgres import Cluster, connect
from strongroom.sample import load_sample
from tests.integration.sweeping.estate import Estate, local_estate
from tests.support import REPOSITORY

TABLES = ("public.orders", "public.order_line", "public.payment")


@pytest.fixture
def company(sweep_server: Cluster, control_database: Engine, tmp_path: Path) -> Iterator[Estate]:
    with connect(sweep_server.conninfo(), application_name="test") as connection:
        connection.execute("CREATE DATABASE company")
    load_sample(sweep_server.conninfo("company"), customers=150, seed=4, reference=date(2026, 8, 24))
    policy = load_policy(REPOSITORY / "include" / "policy" / "shop.yaml")
    estate = local_estate(tmp_path, sweep_server.conninfo("company"), control_database)
    yield replace(estate, policy=policy)
    with connect(sweep_server.conninfo(), application_name="test") as connection:
        connection.execute(sql.SQL("DROP DATABASE company WITH (FORCE)"))


def test_eight_years_of_orders_move_and_no_total_changes(company: Estate) -> None:
    company.run(
        "UPDATE support.ticket SET order_id = NULL, ordered_at = NULL WHERE ordered_at < '2024-06-01'"
    )
    before, live = company.everything(*TABLES), company.live("orders").total()
    held = 0
    for table in archived_tables(company.policy):
        held += sum(item.rows for item in company.sweep(table).held)
    assert company.everything(*TABLES) == before
    old = company.run("SELECT count(*) FROM orders WHERE ordered_at < '2024-08-24'")[0][0]
    assert old == held
    assert company.archived("public.orders").total() > live / 2
    years = {part.manifest.tables[0].first[:4] for part in company.parts() if part.manifest.tables[0].first}
    assert years >= {str(year) for year in range(2017, 2025)}
    assert company.run(
        "SELECT count(*) FROM support.ticket t LEFT JOIN orders o USING (order_id)"
        " WHERE t.order_id IS NOT NULL AND o.order_id IS NULL"
    ) == [(0,)]
