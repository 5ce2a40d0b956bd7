"""Logical backups where servers differ: thousands of tables, extensions, S3, a standby."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from strongroom.backup import SourceNotReadyError, read_manifest
from strongroom.backup.restoring.logical import LogicalRestorer, Selection
from strongroom.errors import ConfigurationError, InputError
from strongroom.postgres import Cluster, find_binaries, scratch_cluster
from strongroom.storage import S3ObjectStore
from tests.integration.backup.conftest import server_root
from tests.integration.backup.world import ACTOR, LOGICAL, World
from tests.integration.logical.source import contents, database_back, psql, query, tables_back
from tests.integration.logical.test_restoring import make_restorer
from tests.integration.logical.test_taking import back_up


@pytest.fixture
def restorer(world: World) -> Iterator[LogicalRestorer]:
    with server_root() as root:
        yield make_restorer(world, root)


@pytest.fixture(scope="module")
def server() -> Iterator[Cluster]:
    with server_root() as root, scratch_cluster(root, find_binaries(), "many") as scratch:
        cluster = scratch.cluster({"fsync": "off"})
        cluster.initialise()
        cluster.start()
        yield cluster


def at(world: World, conninfo: str) -> World:
    return World(world.directory, conninfo, world.control_url, world.engine)


def test_five_thousand_tables_are_backed_up_and_restored_within_a_servers_ordinary_room_for_locks(
    world: World, server: Cluster, restorer: LogicalRestorer
) -> None:
    query(server.conninfo(), "CREATE DATABASE many")
    script = "".join(
        f"CREATE TABLE t{number} (id int); INSERT INTO t{number} VALUES ({number});\n"
        for number in range(5000)
    )
    psql(server.conninfo("many"), script)
    many = at(world, server.conninfo("many"))
    manifest = back_up(many)
    assert len(manifest.having("data")) < 10
    result = restorer.restore(ACTOR, database_back(many.conninfo, "again"))
    assert (result.compared, result.not_compared) == (5000, ())


def test_a_server_without_room_for_the_locks_says_which_setting_gives_it(world: World) -> None:
    with server_root() as root, scratch_cluster(root, find_binaries(), "narrow") as scratch:
        cluster = scratch.cluster(
            {"fsync": "off", "max_connections": "10", "max_locks_per_transaction": "10"}
        )
        cluster.initialise()
        cluster.start()
        psql(cluster.conninfo(), "".join(f"CREATE TABLE t{n} (x int);\n" for n in range(800)))
        with pytest.raises(SourceNotReadyError, match="no room for the locks of all") as caught:
            back_up(at(world, cluster.conninfo()))
    assert "max_locks_per_transaction" in (caught.value.hint or "")
    assert world.incomplete() == []


def test_a_table_with_an_extensions_type_needs_the_extension_where_it_goes(
    world: World, server: Cluster, restorer: LogicalRestorer
) -> None:
    query(server.conninfo(), "CREATE DATABASE extended")
    query(server.conninfo(), "CREATE DATABASE plain")
    psql(
        server.conninfo("extended"),
        """CREATE SCHEMA tools; CREATE EXTENSION citext SCHEMA tools;
           CREATE TABLE person (email tools.citext PRIMARY KEY); INSERT INTO person VALUES ('A@b.c');""",
    )
    source = at(world, server.conninfo("extended"))
    back_up(source)
    person, plain = Selection(tables=(("public", "person"),)), server.conninfo("plain")
    with pytest.raises(ConfigurationError, match="citext") as caught:
        restorer.restore(ACTOR, tables_back(person, plain, "restored"))
    query(plain, "CREATE SCHEMA tools")
    query(plain, caught.value.hint or "")
    restorer.restore(ACTOR, tables_back(person, plain, "restored"))
    assert query(plain, "SELECT email::text FROM restored.person") == [("A@b.c",)]
    restorer.restore(ACTOR, database_back(plain, "extended again"))
    assert contents(server.conninfo("extended again")) == contents(source.conninfo)


def test_functions_types_and_tables_that_a_table_needs_come_along_or_are_asked_for(
    world: World, server: Cluster, restorer: LogicalRestorer
) -> None:
    query(server.conninfo(), "CREATE DATABASE tangled")
    query(server.conninfo(), "CREATE DATABASE elsewhere")
    psql(
        server.conninfo("tangled"),
        """CREATE SCHEMA lib;
           CREATE DOMAIN lib.positive AS int CHECK (VALUE > 0);
           CREATE TYPE lib.size AS (width lib.positive, unit text);
           CREATE FUNCTION lib.double(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT $1 * 2';
           CREATE SEQUENCE lib.numbers START 100;
           CREATE TABLE box (id int DEFAULT nextval('lib.numbers'), size lib.size, sizes lib.size[],
             twice int GENERATED ALWAYS AS (lib.double(((size).width)::int)) STORED);
           CREATE INDEX box_twice ON box (lib.double(twice));
           CREATE STATISTICS lib.box_stats ON id, twice FROM box;
           INSERT INTO box (size, sizes) VALUES (ROW(3, 'cm'), ARRAY[ROW(4, 'm')::lib.size]);
           CREATE TABLE shelf (place int, holds public.box);""",
    )
    source = at(world, server.conninfo("tangled"))
    back_up(source)
    target = server.conninfo("elsewhere")
    box, shelf = ("public", "box"), ("public", "shelf")
    restorer.restore(ACTOR, tables_back(Selection(tables=(box,)), target, "restored"))
    assert contents(target)["restored", "box"] == contents(source.conninfo)[box]
    query(target, "INSERT INTO restored.box (size) VALUES (ROW(5, 'cm'))")
    assert query(target, "SELECT id, twice FROM restored.box ORDER BY id") == [(100, 6), (101, 10)]
    with pytest.raises(InputError, match=r"public\.box") as caught:
        restorer.restore(ACTOR, tables_back(Selection(tables=(shelf,)), target, "alone"))
    assert "Choose those too" in (caught.value.hint or "")
    restorer.restore(ACTOR, tables_back(Selection(tables=(box, shelf)), target, "both"))


def test_objects_go_into_s3_side_by_side(world: World, s3_store: S3ObjectStore) -> None:
    for info in world.store.list("keys/"):
        s3_store.put_bytes(info.key, world.store.get_bytes(info.key))
    summary = world.service(s3_store).run(ACTOR, LOGICAL, world.conninfo)  # type: ignore[arg-type]
    manifest = read_manifest(s3_store.get_bytes(summary.manifest_key), world.signer.verifier)
    for item in manifest.objects:
        assert s3_store.head(item.key).size_bytes == item.size_bytes


def test_a_standby_will_do(world: World) -> None:
    binaries = find_binaries()
    with server_root() as root, scratch_cluster(root, binaries, "primary") as first:
        primary = first.cluster({"fsync": "off"})
        primary.initialise()
        primary.start()
        query(primary.conninfo(), "CREATE TABLE public.here AS SELECT generate_series(1, 1000) AS x")
        with scratch_cluster(root, binaries, "standby") as second:
            command = [binaries.tool("pg_basebackup"), "-R", "-c", "fast", "-d", primary.conninfo()]
            subprocess.run([*command, "-D", second.data_dir], check=True)
            _give(second.data_dir, first.data_dir)
            standby = second.cluster({"fsync": "off"})
            standby.start()
            manifest = back_up(at(world, standby.conninfo()))
    assert manifest.method == "logical"
    assert manifest.having("fingerprints")


def _give(directory: Path, like: Path) -> None:
    """Give a directory to whoever owns another one."""
    status = like.stat()
    subprocess.run(["chown", "-R", f"{status.st_uid}:{status.st_gid}", directory], check=True)
