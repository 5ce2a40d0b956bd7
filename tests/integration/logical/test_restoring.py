"""A database or a table comes back under a new name, equal to what it was, and nothing that exists is touched."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from strongroom.access import Actor, ActorKind, Role
from strongroom.audit import QueueRecorder, QueueSink
from strongroom.backup.restoring import BackupObjects, VaultObjects
from strongroom.backup.restoring.errors import (
    TableMissingError,
    TargetExistsError,
)
from strongroom.backup.restoring.logical import (
    LogicalRestoreParts,
    LogicalRestorer,
    Selection,
    schema_name,
    table_name,
)
from strongroom.clock import SystemClock
from strongroom.errors import AccessDeniedError, ConfigurationError, InputError, IntegrityError
from strongroom.postgres import Cluster
from strongroom.sealing import LocalKeyProvider
from strongroom.storage import Condition
from strongroom.vault import SealedVault, VaultParts
from tests.integration.backup.world import ACTOR, World
from tests.integration.logical.source import (
    ODD_SCHEMA,
    ODD_TABLE,
    contents,
    database_back,
    pagila_server,
    psql,
    query,
    structure,
    tables_back,
)
from tests.integration.logical.test_taking import back_up
from tests.support import require

FILM = Selection(tables=(("public", "film"),))


@pytest.fixture
def scratch_root() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="sr-") as directory:
        Path(directory).chmod(0o755)
        yield Path(directory)
        assert list(Path(directory).iterdir()) == []


@pytest.fixture
def restorer(world: World, scratch_root: Path) -> LogicalRestorer:
    return make_restorer(world, scratch_root)


def make_restorer(world: World, scratch_root: Path, objects: Any = None) -> LogicalRestorer:
    sink, clock = QueueSink(), SystemClock()
    provider = LocalKeyProvider(world.key_file)
    vault = SealedVault(VaultParts(world.store, world.keyring(), provider, world.engine, sink, clock))
    recorder = QueueRecorder(lambda: world.engine, sink)
    parts = LogicalRestoreParts(world.store, vault, recorder, world.signer.verifier, scratch_root, str)
    return LogicalRestorer(parts, objects=objects)


@pytest.fixture(scope="module")
def target(pagila: Cluster) -> Iterator[str]:
    """A database that already lives: the one that restored tables go into."""
    query(pagila.conninfo(), "CREATE DATABASE target")
    psql(
        pagila.conninfo("target"),
        "CREATE TABLE public.film (precious text); INSERT INTO film VALUES ('here')",
    )
    yield pagila.conninfo("target")
    query(pagila.conninfo(), "DROP DATABASE target")


def unfinished(conninfo: str) -> list[tuple[Any, ...]]:
    names = "SELECT nspname FROM pg_namespace UNION SELECT datname FROM pg_database"
    return [row for row in query(conninfo, names) if row[0].startswith("strongroom_unfinished")]


@pytest.mark.parametrize("major", [18, 15])
def test_a_whole_database_comes_back_row_for_row_with_everything_around_the_rows(
    world: World, pagila: Cluster, restorer: LogicalRestorer, major: int
) -> None:
    require("PostgreSQL 15", major != 15 or Path("/usr/lib/postgresql/15/bin/postgres").is_file())
    if major == 15:
        with pagila_server(major) as older:
            _compare_whole(replace(world, conninfo=older.conninfo("pagila")), older, restorer)
    else:
        _compare_whole(world, pagila, restorer)


def _compare_whole(world: World, cluster: Cluster, restorer: LogicalRestorer) -> None:
    manifest = back_up(world)
    result = restorer.restore(ACTOR, database_back(world.conninfo, 'again "&" again'))
    again = cluster.conninfo('again "&" again')
    before, after = contents(world.conninfo), contents(again)
    moved = {("parts", "hashed_0"), ("parts", "hashed_1")}
    assert {key: value for key, value in after.items() if key not in moved} == {
        key: value for key, value in before.items() if key not in moved
    }
    assert structure(again) == structure(world.conninfo)
    assert set(result.not_compared) == {"parts.hashed_0", "parts.hashed_1"}
    assert result.backup_id == manifest.backup_id
    assert query(again, "SELECT nextval('parts.free'), current_setting('work_mem')") == [(25, "7MB")]
    comment = (
        "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = current_database()"
    )
    assert query(again, comment) == [("a shop of films",)]
    with pytest.raises(TargetExistsError, match="never goes over"):
        restorer.restore(ACTOR, database_back(world.conninfo, 'again "&" again'))
    query(cluster.conninfo(), 'DROP DATABASE "again ""&"" again"')


def test_one_table_comes_back_into_a_new_schema_of_a_living_database(
    world: World, target: str, restorer: LogicalRestorer
) -> None:
    back_up(world)
    result = restorer.restore(ACTOR, tables_back(FILM, target, "restored"))
    assert contents(target)["restored", "film"] == contents(world.conninfo)["public", "film"]
    assert query(target, "SELECT precious FROM public.film") == [("here",)]
    assert query(
        target, "SELECT DISTINCT udt_schema FROM information_schema.columns WHERE udt_name = 'mpaa_rating'"
    ) == [("restored",)]
    assert result.compared == 1
    assert "trigger last_updated of public.film" in result.left_out
    assert "foreign key film_language_id_fkey of public.film to public.language" in result.left_out
    assert "view public.film_list" in result.left_out
    indexes = "SELECT count(*) FROM pg_indexes WHERE schemaname = %s AND tablename = 'film'"
    assert query(target, indexes, "restored") == query(world.conninfo, indexes, "public")
    [[next_id]] = query(target, "SELECT nextval('restored.film_film_id_seq')")
    assert next_id == 1001
    with pytest.raises(TargetExistsError, match="schema restored"):
        restorer.restore(ACTOR, tables_back(FILM, target, "restored"))
    query(target, "DROP SCHEMA restored CASCADE")


def test_a_schema_or_tables_with_partitions_keys_and_odd_names_come_back(
    world: World, target: str, restorer: LogicalRestorer
) -> None:
    back_up(world)
    before = contents(world.conninfo)
    selection = Selection(tables=(("public", "payment"), ("public", "customer"), ("public", "rental")))
    result = restorer.restore(ACTOR, tables_back(selection, target, 'Again & "again"'))
    after = contents(target)
    partitions = [name for name in before if name[1].startswith("payment_p")]
    assert len(partitions) > 1
    for _, name in [*partitions, ("", "customer"), ("", "rental")]:
        assert after['Again & "again"', name] == before["public", name]
    keys = """SELECT count(*) FROM pg_constraint
               WHERE contype = 'f' AND connamespace = %s::regnamespace AND conparentid = 0"""
    [[kept]] = query(target, keys, '"Again & ""again"""')
    assert kept >= 1
    assert any(item.startswith("foreign key customer_store_id_fkey") for item in result.left_out)
    query(target, 'DROP SCHEMA "Again & ""again""" CASCADE')

    odd = Selection(tables=((ODD_SCHEMA, ODD_TABLE),))
    restorer.restore(ACTOR, tables_back(odd, target, "odd", rename_to="even"))
    assert contents(target)["odd", "even"] == before[ODD_SCHEMA, ODD_TABLE]
    query(target, "INSERT INTO odd.even (\"select\") VALUES ('new')")
    assert query(target, 'SELECT max("a b") FROM odd.even') == [(5,)]

    result = restorer.restore(ACTOR, tables_back(Selection(schemas=("parts",)), target, "all parts"))
    after = contents(target)
    for name in ("money", "parent", "child_first", "no_columns", "unlogged", "secret"):
        assert after["all parts", name] == before["parts", name]
    assert after["all parts", "hashed_0"][0] + after["all parts", "hashed_1"][0] == 300
    assert {"policy own of parts.secret", "row security of parts.secret"} <= set(result.left_out)
    psql(target, 'DROP SCHEMA odd CASCADE; DROP SCHEMA "all parts" CASCADE')


def test_a_single_partition_comes_back_as_a_table_of_its_own(
    world: World, target: str, restorer: LogicalRestorer
) -> None:
    back_up(world)
    partition = next(name for name in contents(world.conninfo) if name[1].startswith("payment_p"))
    result = restorer.restore(ACTOR, tables_back(Selection(tables=(partition,)), target, "one"))
    assert contents(target)["one", partition[1]] == contents(world.conninfo)[partition]
    assert f"{'.'.join(partition)} being a partition of public.payment" in result.left_out
    query(target, "DROP SCHEMA one CASCADE")


def test_what_cannot_be_done_is_refused_before_anything_is_written(
    world: World, pagila: Cluster, target: str, restorer: LogicalRestorer
) -> None:
    back_up(world)
    with pytest.raises(TableMissingError, match=r"Did you mean public\.film"):
        restorer.restore(ACTOR, tables_back(Selection(tables=(("public", "flim"),)), target, "x"))
    with pytest.raises(InputError, match="No table"):
        restorer.restore(ACTOR, tables_back(Selection(), target, "x"))
    payment = Selection(tables=(("public", "payment"),))
    with pytest.raises(InputError, match="new name is for one table"):
        restorer.restore(ACTOR, tables_back(payment, target, "x", rename_to="y"))
    auditor = Actor("someone", ActorKind.PERSON, frozenset({Role.AUDITOR}))
    with pytest.raises(AccessDeniedError):
        restorer.restore(auditor, tables_back(FILM, target, "x"))
    query(pagila.conninfo(), 'ALTER ROLE "Shop Owner" RENAME TO "Former Owner"')
    try:
        with pytest.raises(ConfigurationError, match="Shop Owner"):
            restorer.restore(ACTOR, database_back(world.conninfo, "again"))
        restorer.restore(ACTOR, database_back(world.conninfo, "again", owners=False))
    finally:
        query(pagila.conninfo(), 'ALTER ROLE "Former Owner" RENAME TO "Shop Owner"')
    query(pagila.conninfo(), "DROP DATABASE again")
    assert unfinished(target) == []


def test_rows_that_are_not_what_the_backup_wrote_are_not_kept(
    world: World, target: str, restorer: LogicalRestorer
) -> None:
    manifest = back_up(world)
    rows = next(item for item in manifest.having("data") if "sequences" not in item.name)
    data = bytearray(world.store.get_bytes(rows.key))
    data[-20] ^= 1
    world.store.put_bytes(rows.key, bytes(data), condition=Condition.OVERWRITE)
    with pytest.raises(IntegrityError):
        restorer.restore(ACTOR, tables_back(FILM, target, "restored"))
    with pytest.raises(IntegrityError):
        restorer.restore(ACTOR, database_back(target, "again"))
    assert unfinished(target) == []
    assert ("restored",) not in query(target, "SELECT nspname FROM pg_namespace")


@pytest.mark.parametrize(("whole", "at"), [(False, "data"), (True, "data"), (True, "post")])
def test_a_restore_killed_in_the_middle_leaves_nothing_that_the_next_does_not_clear(
    world: World, target: str, scratch_root: Path, restorer: LogicalRestorer, whole: bool, at: str
) -> None:
    manifest = back_up(world)
    config = world.directory / "restore.json"
    config.write_text(
        json.dumps(
            {
                "directory": str(world.directory),
                "url": world.control_url,
                "target": target,
                "scratch_root": str(scratch_root),
                "whole": whole,
                "at": at,
            }
        )
    )
    command = [sys.executable, "-m", "tests.integration.logical.test_restoring", str(config)]
    killed = subprocess.run(command, check=False, capture_output=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    assert len(unfinished(target)) == 1
    wish = database_back(target, "restored") if whole else tables_back(FILM, target, "restored")
    restorer.restore(ACTOR, replace(wish, backup_id=manifest.backup_id))
    assert unfinished(target) == []
    with pytest.raises(TargetExistsError, match="never goes over"):
        restorer.restore(ACTOR, wish)
    query(target, "DROP DATABASE restored" if whole else "DROP SCHEMA restored CASCADE")


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("public.film", ("public", "film")),
        ('"Odd "".na\nmes"."drop; table"', ('Odd ".na\nmes', "drop; table")),
        ("public.Ünï code", ("public", "Ünï code")),
    ],
)
def test_names_are_written_as_in_sql(text: str, name: tuple[str, str]) -> None:
    assert table_name(text) == name


@pytest.mark.parametrize("text", ["film", "a.b.c", 'public."film', ".film", ""])
def test_what_is_no_name_is_refused(text: str) -> None:
    with pytest.raises(InputError):
        table_name(text)
    if "." in text or not text:
        with pytest.raises(InputError):
            schema_name(text)


class _DeadlyObjects(VaultObjects):
    """Objects of which one role's are deadly to open."""

    at = ""

    def open(self, item: Any) -> Any:
        if item.role == self.at:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().open(item)


def _main(config: str) -> None:
    from strongroom.catalog import open_engine

    values = json.loads(Path(config).read_text())
    world = World(Path(values["directory"]), "", values["url"], open_engine(values["url"]))
    clock, sink = SystemClock(), QueueSink()
    vault = SealedVault(
        VaultParts(world.store, world.keyring(), LocalKeyProvider(world.key_file), world.engine, sink, clock)
    )

    def objects(actor: Actor) -> BackupObjects:
        deadly = _DeadlyObjects(world.store, vault, actor)
        deadly.at = values["at"]
        return deadly

    restorer = make_restorer(world, Path(values["scratch_root"]), objects)
    tables = tables_back(FILM, values["target"], "restored")
    restorer.restore(ACTOR, database_back(values["target"], "restored") if values["whole"] else tables)


if __name__ == "__main__":
    _main(sys.argv[1])
