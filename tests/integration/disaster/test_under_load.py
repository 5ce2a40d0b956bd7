"""The script brings Pagila and the sample back to a chosen second of a working day, row for row, on each version."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from strongroom.postgres import Cluster
from tests.integration.disaster.conftest import Site, Told, installation
from tests.integration.disaster.document import Desk
from tests.integration.restoring.company import Contents, Writers, company, contents, payments


@pytest.fixture(scope="module", params=[18, 15])
def major(request: pytest.FixtureRequest) -> int:
    """The server's version."""
    return int(request.param)


@pytest.fixture(scope="module")
def site(control_server: Cluster, major: int) -> Iterator[Site]:
    """Both databases on one server, and an installation."""
    folder = Path(tempfile.mkdtemp(prefix="sr-site-"))
    folder.chmod(0o755)
    with company(major) as cluster:
        parts = installation(folder, control_server)
        yield Site(folder, cluster, parts)
        parts.engine.dispose()
    shutil.rmtree(folder)


@dataclass(frozen=True)
class Instant:
    """One between transactions."""

    second: str
    contents: Contents
    payments: list[tuple[object, ...]]


@pytest.fixture(scope="module")
def instant(site: Site) -> Instant:
    """What both databases held while work went on, a backup was taken and the log was shipped."""
    writers = Writers(site.cluster)
    of = site.cluster.conninfo
    with writers.working():
        writers.wait_for(50)
        site.ship()
        site.back_up()
        writers.wait_for(150)
        site.ship()
        writers.wait_for(150)
        with writers.held():
            seen = Instant(site.now(), contents(of), payments(of))
        writers.wait_for(200)
        site.ship()
    assert contents(of) != seen.contents
    return seen


@pytest.fixture
def told(site: Site, instant: Instant) -> Told:
    """For the desk."""
    return Told(site, {"instant": instant.second}, {}, {})


def test_a_chosen_second_under_load_comes_back(desk: Desk, told: Told, instant: Instant, major: int) -> None:
    done = desk.script("--time", told.moments["instant"], major=major)
    assert done.returncode == 0, done.stderr

    def restored(database: str) -> str:
        return f"host={desk.folder / 'restored.restore'} dbname={database} user=postgres"

    assert contents(restored) == instant.contents
    assert payments(restored) == instant.payments
