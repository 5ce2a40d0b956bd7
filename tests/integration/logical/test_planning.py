"""A restore from a logical backup is planned first: what cannot be done is refused there, and nothing else is done."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import text

from strongroom.access import Actor, ActorKind, Role
from strongroom.backup.restoring.errors import (
    BackupMissingError,
    LiveSourceError,
    NotEnoughRoomError,
    PlanChangedError,
    TableMissingError,
    TargetExistsError,
)
from strongroom.backup.restoring.logical import (
    LogicalRestorer,
    LogicalRestoreRequest,
    PlannedLogicalRestore,
    Selection,
    parse_logical_plan,
    readiness,
)
from strongroom.catalog import upgrade
from strongroom.errors import AccessDeniedError, InputError
from strongroom.postgres import Cluster, MissingPrivilegeError, advisory_lock, connect
from tests.integration.backup.conftest import server_root
from tests.integration.backup.world import ACTOR, PLAN, World
from tests.integration.conftest import control_engine
from tests.integration.logical.source import contents, database_back, psql, query, tables_back
from tests.integration.logical.test_restoring import make_restorer
from tests.integration.logical.test_taking import back_up

FILM = Selection(tables=(("public", "film"),))


@pytest.fixture(scope="module")
def world(
    pagila: Cluster, control_server: Cluster, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    """An installation with one logical backup, which all tests here share: each plan takes seconds."""
    query(control_server.conninfo(), "CREATE DATABASE planning")
    engine = control_engine(control_server, "planning")
    upgrade(engine)
    url = engine.url.render_as_string(hide_password=False)
    world = World(tmp_path_factory.mktemp("planning"), pagila.conninfo("pagila"), url, engine)
    world.make_keys()
    back_up(world)
    yield world
    engine.dispose()
    query(control_server.conninfo(), "DROP DATABASE planning WITH (FORCE)")


@pytest.fixture(scope="module")
def restorer(world: World) -> Iterator[LogicalRestorer]:
    with server_root() as root:
        yield make_restorer(world, root)
        assert list(root.iterdir()) == []


@pytest.fixture(scope="module")
def target(pagila: Cluster) -> Iterator[str]:
    query(pagila.conninfo(), "CREATE DATABASE planned")
    psql(pagila.conninfo("planned"), "CREATE SCHEMA taken; CREATE TABLE taken.film (precious text)")
    yield pagila.conninfo("planned")
    query(pagila.conninfo(), "DROP DATABASE planned")


@pytest.fixture(scope="module")
def planned(world: World, target: str, restorer: LogicalRestorer) -> PlannedLogicalRestore:
    """A plan for one table."""
    return restorer.plan(ACTOR, tables_back(FILM, target, "last_month", rename_to="old_film"))


@pytest.fixture(scope="module")
def whole(world: World, target: str, restorer: LogicalRestorer) -> PlannedLogicalRestore:
    """A plan for the whole database."""
    return restorer.plan(ACTOR, database_back(target, "whole"))


def schemas(conninfo: str) -> set[str]:
    return {row[0] for row in query(conninfo, "SELECT nspname FROM pg_namespace")}


def events(world: World) -> list[dict[str, Any]]:
    with world.engine.connect() as connection:
        rows = connection.execute(text("SELECT entry FROM audit_queue ORDER BY id")).scalars()
        return [json.loads(bytes(row)) for row in rows]


def test_the_plan_says_what_comes_back_where_to_and_what_stays_behind(
    world: World, target: str, planned: PlannedLogicalRestore
) -> None:
    plan, said = planned.plan, "\n".join(planned.lines())
    assert (plan.tables, plan.new_name) == ((("public", "film"),), "last_month")
    assert "type public.mpaa_rating" in plan.brought_along
    assert "trigger last_updated of public.film" in plan.left_out
    assert plan.fetched_bytes > 0
    assert 0 < plan.written_bytes < plan.needed_bytes
    for words in ("public.film", "schema last_month", "never verified", "takes", plan.sha256):
        assert words in said
    assert planned.estimate.available_bytes is not None
    assert not {name for name in schemas(target) if "month" in name or "unfinished" in name}
    made = next(event for event in events(world) if event["type"] == "restore:plan:make")
    assert made["data"]["hashes"]["plan_sha256"] == plan.sha256
    assert "last_month" not in json.dumps(events(world))


def test_a_plan_comes_back_from_its_document_and_nothing_else_does(planned: PlannedLogicalRestore) -> None:
    document = planned.plan.document()
    assert parse_logical_plan(json.loads(json.dumps(document))) == planned.plan
    for broken in ({"new_name": ""}, {"kind": "cluster"}, {"more": 1}, {"tables": "film"}, {"format": "?"}):
        with pytest.raises(InputError, match="no restore plan"):
            parse_logical_plan({**document, **broken})


def test_a_plan_is_executed_from_its_own_backup_and_its_hash_is_in_the_log(
    world: World, target: str, restorer: LogicalRestorer, planned: PlannedLogicalRestore
) -> None:
    plan = planned.plan
    back_up(world)
    result = restorer.run(ACTOR, plan, plan.sha256.upper())
    assert (result.backup_id, result.plan_sha256) == (plan.backup_id, plan.sha256)
    assert contents(target)["last_month", "old_film"] == contents(world.conninfo)["public", "film"]
    run = [event["data"] for event in events(world) if event["type"] == "restore:run:execute"]
    attempt, done = [data for data in run if data["hashes"]["plan_sha256"] == plan.sha256]
    assert (attempt["phase"], done["outcome"]) == ("attempt", "success")
    with pytest.raises(TargetExistsError):
        restorer.run(ACTOR, plan, plan.sha256)


def test_a_whole_database_is_planned_and_executed(
    target: str, restorer: LogicalRestorer, whole: PlannedLogicalRestore
) -> None:
    plan = whole.plan
    assert "Shop Owner" in plan.roles
    assert "the whole database" in whole.lines()[0]
    result = restorer.run(ACTOR, plan, plan.sha256)
    assert (result.kind, result.target, len(result.tables)) == ("database", "whole", plan.table_count)
    query(target, "DROP DATABASE whole")


def test_what_is_not_the_approved_plan_is_not_executed(
    target: str, restorer: LogicalRestorer, whole: PlannedLogicalRestore
) -> None:
    plan = whole.plan
    with pytest.raises(PlanChangedError, match="not the plan that was approved"):
        restorer.run(ACTOR, replace(plan, new_name="y"), plan.sha256)
    elsewhere = replace(plan, target=replace(plan.target, system_identifier="1"))
    with pytest.raises(PlanChangedError, match=r"has changed since it was made: target\."):
        restorer.run(ACTOR, elsewhere, elsewhere.sha256)
    with pytest.raises(PlanChangedError, match="roles"):
        restorer.run(ACTOR, replace(plan, roles=()), replace(plan, roles=()).sha256)
    assert query(target, "SELECT FROM pg_database WHERE datname IN ('y', 'whole')") == []


def test_what_cannot_be_done_is_refused_in_the_plan(
    world: World, target: str, restorer: LogicalRestorer
) -> None:
    lost = "20200101T000000Z-0000"
    refused: list[tuple[LogicalRestoreRequest, type[Exception], str]] = [
        (tables_back(Selection(tables=(("public", "flim"),)), target, "x"), TableMissingError, "flim"),
        (tables_back(FILM, target, "taken"), TargetExistsError, "schema taken"),
        (tables_back(FILM, world.conninfo, "public"), TargetExistsError, "schema public"),
        (database_back(target, "planned"), TargetExistsError, "database planned"),
        (database_back(target, "pagila"), LiveSourceError, "living database"),
        (replace(database_back(target, "x"), database="shpo"), BackupMissingError, "no complete logical"),
        (database_back(target, "x", backup_id=lost), BackupMissingError, lost),
    ]
    for wish, error, words in refused:
        with pytest.raises(error, match=words):
            restorer.plan(ACTOR, wish)


def test_a_schema_that_the_living_source_lost_comes_back_under_another_name_only(
    world: World, restorer: LogicalRestorer
) -> None:
    parts = Selection(schemas=("parts",))
    query(world.conninfo, "ALTER SCHEMA parts RENAME TO lost")
    try:
        with pytest.raises(LiveSourceError, match="were in the schema parts"):
            restorer.plan(ACTOR, tables_back(parts, world.conninfo, "parts"))
    finally:
        query(world.conninfo, "ALTER SCHEMA lost RENAME TO parts")


def test_who_may_not_make_it_there_is_refused_with_the_statement_that_lets_them(
    target: str, restorer: LogicalRestorer
) -> None:
    query(target, "CREATE ROLE modest LOGIN")
    modest = target.replace("user=postgres", "user=modest")
    try:
        with pytest.raises(MissingPrivilegeError, match="may not make schemas") as refused:
            restorer.plan(ACTOR, tables_back(FILM, modest, "x"))
        assert 'GRANT CREATE ON DATABASE "planned" TO "modest";' in (refused.value.hint or "")
        with pytest.raises(MissingPrivilegeError, match="may not make databases"):
            restorer.plan(ACTOR, database_back(modest, "x"))
        query(target, "ALTER ROLE modest CREATEDB")
        said = "\n".join(restorer.plan(ACTOR, database_back(modest, "x")).lines())
        assert "which cannot be seen from here" in said
        assert "it must be a member of the roles that own something" in said
    finally:
        query(target, "DROP ROLE modest")


def test_a_disk_that_is_too_small_is_refused_with_both_numbers(
    target: str, restorer: LogicalRestorer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readiness, "free_bytes", lambda path: 1_500_000)
    with pytest.raises(NotEnoughRoomError, match=r"1\.5 MB free; the restore needs about \d+\.\d MB"):
        restorer.plan(ACTOR, database_back(target, "x"))


def test_who_may_not_restore_may_not_plan_either_and_that_is_recorded(
    world: World, target: str, restorer: LogicalRestorer
) -> None:
    officer = Actor("dora", ActorKind.PERSON, frozenset({Role.PRIVACY_OFFICER}))
    with pytest.raises(AccessDeniedError):
        restorer.plan(officer, tables_back(FILM, target, "x"))
    assert events(world)[-1]["type"] == "access:permission:refuse"


def test_the_newest_logical_backup_is_taken_whatever_came_after_it(
    world: World, target: str, restorer: LogicalRestorer
) -> None:
    logical = restorer.plan(ACTOR, database_back(target, "x")).plan.backup_id
    physical = world.service().run(ACTOR, PLAN, world.conninfo).backup_id
    assert physical > logical
    assert restorer.plan(ACTOR, database_back(target, "x")).plan.backup_id == logical
    with pytest.raises(InputError, match="is a physical one"):
        restorer.plan(ACTOR, database_back(target, "x", backup_id=physical))


def test_what_another_restore_is_making_through_another_database_is_left_alone(
    pagila: Cluster, target: str, restorer: LogicalRestorer
) -> None:
    living, dead = (f"strongroom_unfinished_{mark * 16}" for mark in "ad")
    with connect(pagila.conninfo("pagila"), application_name="test") as other, advisory_lock(other, living):
        other.execute(f"CREATE DATABASE {living}".encode())
        other.execute(f"CREATE DATABASE {dead}".encode())
        restorer.restore(ACTOR, database_back(target, "beside"))
        names = {row[0] for row in query(target, "SELECT datname FROM pg_database")}
        assert living in names
        assert dead not in names
        other.execute(f"DROP DATABASE {living}".encode())
    query(target, "DROP DATABASE beside")
