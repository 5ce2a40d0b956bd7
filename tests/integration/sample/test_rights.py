"""The server that `make up` starts for the sample lets its one user back up, and move and delete rows."""

import tempfile
from pathlib import Path

import psycopg
import pytest

from strongroom.embedded.databases import Database, PostgresPart, conninfo
from strongroom.embedded.down import down
from strongroom.embedded.folder import StateFolder
from strongroom.embedded.ports import free_port
from strongroom.embedded.state import State

OWNER = Database("shop", "shop", "owner-password")
USER = Database("shop", "strongroom", "user-password")


@pytest.fixture
def folder():
    with tempfile.TemporaryDirectory(prefix="strongroom-rights-") as name:
        Path(name).chmod(0o755)
        folder = StateFolder(Path(name) / "state", Path(name) / "state")
        folder.prepare()
        yield folder
        down(folder)


def test_the_user_carries_out_rules_about_rows_and_adds_none(folder):
    port = free_port()
    part = PostgresPart(
        "shop",
        "The shop",
        folder,
        port,
        "admin-password",
        databases=(OWNER,),
        backup_role=(USER.role, USER.password),
    )
    part.start(State.load(folder.state))
    with psycopg.connect(part.cluster().conninfo("shop"), autocommit=True) as administrator:
        administrator.execute(
            "CREATE SCHEMA support; CREATE TABLE support.ticket (id int); INSERT INTO support.ticket SELECT 1"
        )
    with psycopg.connect(conninfo(port, USER), autocommit=True) as user:
        user.execute("CREATE TABLE strongroom.mark (id int)")
        user.execute("CREATE TEMPORARY TABLE batch AS SELECT id FROM support.ticket FOR UPDATE")
        assert user.execute("DELETE FROM support.ticket").rowcount == 1
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            user.execute("INSERT INTO support.ticket VALUES (2)")
