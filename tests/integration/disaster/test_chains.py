"""The page on a chain of incremental backups of a cluster that has tablespaces."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from strongroom.postgres import Cluster, service_account
from tests.integration.chains.estate import SUMMARISED, Estate, estate, server
from tests.integration.disaster.conftest import content
from tests.integration.disaster.document import SCRIPT, Desk, commands

FILL = """
CREATE TABLE public.{space} TABLESPACE {space} AS
SELECT g AS id, md5(g::text) AS text FROM generate_series(1, 20000) g"""


@pytest.fixture(scope="module")
def site(control_server: Cluster) -> Iterator[Estate]:
    """A full backup and two incremental ones, with changes in each tablespace before each."""
    with server(18, SUMMARISED) as source, estate(source, control_server) as made:
        source.tablespace("north")
        source.tablespace("south")
        source.execute(
            "CREATE TABLE public.here (id int, text text)", "INSERT INTO public.here VALUES (1, 'x')"
        )
        source.execute(*(FILL.format(space=space) for space in ("north", "south")))
        made.back_up()
        source.execute(
            "UPDATE public.north SET text = 'changed' WHERE id % 100 = 0",
            "DELETE FROM public.south WHERE id < 50",
        )
        assert made.manifest(made.back_up().backup_id).kind == "incremental"
        source.execute(
            "INSERT INTO public.south VALUES (99999, 'last')", "UPDATE public.here SET text = id WHERE id < 9"
        )
        assert made.manifest(made.back_up().backup_id).chain.position == 2
        yield made


@pytest.fixture
def desk(site: Estate) -> Iterator[Desk]:
    """A new machine with a copy of the bucket, on which the source's tablespaces do not exist."""
    folder = Path(tempfile.mkdtemp(prefix="sr-desk-"))
    folder.chmod(0o755)
    shutil.copytree(site.world.directory / "bucket", folder / "bucket")
    (folder / "epoch.key").write_text(site.world.identity() + "\n")
    shutil.copy(SCRIPT, folder / "restore.sh")
    account = service_account()
    for path in [folder, *folder.rglob("*")] if account else []:
        os.chown(path, account.uid, account.gid)
    values = {
        "BUCKET": str(folder / "bucket"),
        "DATABASE": "shop",
        "IDENTITY": str(folder / "epoch.key"),
        "VERIFIER_KEY": str(site.world.signer.verifier),
        "DIRECTORY": str(folder / "restored"),
    }
    made = Desk(folder, values)
    yield made
    if (folder / "restored" / "postmaster.pid").exists():
        made.type(commands("5.", 1))
    shutil.rmtree(folder)


def test_the_chain_comes_back_with_its_tablespaces_elsewhere(desk, site):
    done = desk.type(commands("4.", 0))
    assert done.returncode == 0, done.stderr
    restored = f"host={desk.folder / 'restored.restore'} dbname=postgres user=postgres"
    assert content(restored) == content(site.server.cluster.conninfo())
    links = [path.readlink() for path in (desk.directory / "pg_tblspc").iterdir()]
    assert sorted(path.parent for path in links) == [desk.folder / "restored.tablespaces"] * 2


def test_a_chain_whose_parent_is_another_backup_is_refused(desk):
    first = sorted((desk.folder / "bucket" / "backups" / "shop").iterdir())[0] / "manifest.json"
    first.write_text(first.read_text().replace('"timeline":1', '"timeline":1 '))
    done = desk.script()
    assert done.returncode != 0
    assert "is not what" in done.stderr
    assert not desk.directory.exists()
