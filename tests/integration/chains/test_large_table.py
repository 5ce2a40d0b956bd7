"""A table of more than two gigabytes: its file is cut into segments of 1 GiB, and a chain has parts of each."""

from __future__ import annotations

import pytest

from strongroom.backup.verification import VerificationChecks
from strongroom.postgres import Cluster
from tests.integration.chains.estate import SUMMARISED, estate, server

TABLE = """
    CREATE UNLOGGED TABLE public.large (id int, filler text) WITH (fillfactor = 10);
    INSERT INTO public.large SELECT g, repeat(chr(97 + g % 26), 420) FROM generate_series(1, 264000) g"""
"""One row to a page, which stays nearly empty: the size is what is tried here, not the content."""


@pytest.mark.large
@pytest.mark.timeout(900)
def test_a_table_of_more_than_two_gigabytes_is_backed_up_and_proven(control_server: Cluster) -> None:
    settings = {**SUMMARISED, "wal_level": "replica", "max_wal_size": "4GB"}
    with server(18, settings) as source, estate(source, control_server) as here:
        source.execute(TABLE, "ALTER TABLE public.large SET LOGGED", "CHECKPOINT")
        assert source.execute("SELECT pg_relation_size('public.large') > 2::bigint << 30")[0][0]
        full = here.back_up()
        source.execute("UPDATE public.large SET filler = 'x' WHERE id IN (1, 140000, 263999)")
        child = here.back_up()
        assert (child.kind, child.parent_id) == ("incremental", full.backup_id)
        assert child.stored_bytes < full.stored_bytes
        proof = here.prove(checks=VerificationChecks(amcheck=False))
        assert proof.problems() == []
