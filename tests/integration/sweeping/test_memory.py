"""A sweep takes no more memory for many rows than for few."""

from __future__ import annotations

import os
import subprocess
import sys

from strongroom.archive.standing import read_parts
from tests.integration.sweeping.estate import Estate

ROWS = 150_000
MOST_MEBIBYTES = 256

SWEEP = """
import sys
from pathlib import Path
from sqlalchemy import create_engine
from strongroom.storage import LocalObjectStore
from tests.integration.sweeping.estate import Estate

directory, conninfo, control = sys.argv[1:]
store = LocalObjectStore(Path(directory) / "bucket")
estate = Estate(Path(directory), conninfo, create_engine(control), store)
estate.sweep()
print([line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")][0])
"""


def test_a_large_part_is_moved_in_bounded_memory(estate: Estate) -> None:
    estate.run(
        "INSERT INTO orders SELECT 1000 + g, 1 + mod(g, 50), timestamptz '2024-07-01' + g * interval '1 second', g,"
        " repeat(md5(g::text), 8) FROM generate_series(1, %s) g",
        ROWS,
    )
    control = estate.engine.url.render_as_string(hide_password=False)
    done = subprocess.run(
        [sys.executable, "-c", SWEEP, str(estate.directory), estate.conninfo, control],
        env=dict(os.environ),
        stdout=subprocess.PIPE,
        text=True,
        timeout=300,
        check=True,
    )
    assert max(part.manifest.rows for part in read_parts(estate.store, estate.signer.verifier, "shop")) > ROWS
    assert int(done.stdout) < MOST_MEBIBYTES * 1024
