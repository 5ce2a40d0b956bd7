"""The page after a failover: the log goes on, on another timeline, and is followed there."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.integration.continuous.test_bad_luck import caught_up, promote, standby
from tests.integration.disaster.conftest import Site, Told, content
from tests.integration.disaster.test_bare_metal import restored

INSERT = (
    "INSERT INTO public.actor (first_name, last_name) SELECT '{0}', g::text FROM generate_series(1, 200) g"
)


@pytest.fixture(scope="module")
def told(site: Site) -> Iterator[Told]:
    """A backup on the first timeline, a failover, and work on the second."""
    site.ship()
    site.back_up()
    site.sql(INSERT.format("before"))
    site.ship()
    with standby(site.cluster) as promoted:
        site.sql(INSERT.format("unshipped"))
        caught_up(promoted, site.cluster)
        site.cluster.stop("immediate")
        promote(promoted)
        moved = replace(site, cluster=promoted)
        moved.sql(INSERT.format("after"))
        moment, found = moved.now(), content(promoted.conninfo("pagila"))
        moved.sql(INSERT.format("late"))
        moved.ship()
        contents = {"after": found, "end": content(promoted.conninfo("pagila"))}
        yield Told(moved, {"after": moment}, {}, contents)


def test_the_log_is_followed_to_the_new_timeline(desk, told):
    done = desk.script("--end")
    assert done.returncode == 0, done.stderr
    assert restored(desk) == told.contents["end"]


def test_a_moment_after_the_failover_comes_back(desk, told):
    done = desk.script("--time", told.moments["after"])
    assert done.returncode == 0, done.stderr
    assert restored(desk) == told.contents["after"]


def test_a_missing_history_is_refused(desk, told):
    (history,) = (desk.folder / "bucket" / "wal").rglob("*.history.age")
    history.unlink()
    done = desk.script("--end")
    assert done.returncode != 0
    assert "does not open" in done.stderr
    assert not desk.directory.exists()
