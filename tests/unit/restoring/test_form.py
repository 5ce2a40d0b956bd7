"""A form's fields become one target and one place, or an error that says which field is wrong."""

from dataclasses import replace
from pathlib import Path

import pytest

from strongroom.backup.restoring.errors import TargetError
from strongroom.backup.restoring.form import RestoreForm, folder_below, target_of
from strongroom.backup.restoring.logical import LogicalRestoreRequest, Selection
from strongroom.errors import InputError, StrongroomError

ROOT = Path("/var/lib/strongroom/restored")


@pytest.mark.parametrize(
    ("fields", "target"),
    [
        (("backup", None, None), "to the backup's own restore point"),
        (("latest", "", " "), "to the end of the archive"),
        (("time", "2026-11-24T22:10:05+01:00", None), "to 2026-11-24T21:10:05.000000Z"),
        (("lsn", None, " 0/3000060 "), "to the position 0/3000060"),
        (("point", None, "before upgrade"), "to the restore point before upgrade"),
    ],
)
def test_the_fields_name_one_target(fields, target):
    assert str(target_of(*fields)) == target


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (("time", None, None), "needs `time`"),
        (("lsn", None, ""), "needs `value`"),
        (("backup", "2026-11-24T22:10:05Z", None), "does not use it"),
        (("time", "2026-11-24T22:10:05Z", "0/3000060"), "does not use it"),
        (("time", "2026-11-24T22:10:05", None), "names no time zone"),
        (("time", "yesterday", None), "is no moment"),
        (("lsn", None, "3000060"), "no log sequence number"),
        (("point", None, "x" * 64), "1 to 63 bytes"),
        (("now", None, None), "not to 'now'"),
    ],
)
def test_what_does_not_fit_is_refused_with_the_fields_name(fields, message):
    with pytest.raises(StrongroomError, match=message) as error:
        target_of(*fields)
    assert error.value.exit_code == 2 or isinstance(error.value, TargetError)


def test_a_folder_lies_below_the_one_place():
    assert folder_below(ROOT, "shop-2026_11") == ROOT / "shop-2026_11"


@pytest.mark.parametrize("name", ["", ".", "..", "../etc", "/etc", "a/b", "-a", "A", "a b", "a\n", "x" * 64])
def test_a_name_that_could_lead_elsewhere_is_refused(name):
    with pytest.raises(InputError, match="folder"):
        folder_below(ROOT, name)


TABLES = RestoreForm("shop", what="tables", tables=("public.customer",), new_name="last_week")
WHOLE = RestoreForm("shop", what="database", new_name="shop_old")
CLUSTER = RestoreForm("shop", folder="monday")


def test_a_form_for_tables_asks_for_them_in_the_databases_own_server():
    asked = replace(TABLES, schemas=("support",), table_name="buyer").request(ROOT)
    selection = Selection((("public", "customer"),), ("support",))
    assert asked == LogicalRestoreRequest("shop", "shop", "last_week", selection, rename_to="buyer")


def test_a_form_for_a_database_may_name_another_server():
    asked = replace(WHOLE, connection="attic", backup_id="20261124T000000Z-0001", owners=False).request(ROOT)
    expected = LogicalRestoreRequest(
        "shop", "attic", "shop_old", backup_id="20261124T000000Z-0001", owners=False
    )
    assert asked == expected


def test_a_form_for_a_cluster_asks_for_a_folder_below_the_one_place():
    asked = replace(CLUSTER, start=True).request(ROOT)
    assert (asked.directory, asked.start, asked.target.kind) == (ROOT / "monday", True, "backup")


@pytest.mark.parametrize(
    ("form", "changes", "message"),
    [
        (TABLES, {"tables": ()}, "`tables` and `schemas` are empty"),
        (TABLES, {"tables": ("customer",)}, "does not name a table"),
        (TABLES, {"new_name": " "}, "`new_name` is needed: the new schema's name"),
        (TABLES, {"folder": "x"}, "`folder` filled in"),
        (TABLES, {"start": True}, "`start` filled in"),
        (TABLES, {"target": "latest"}, "Only a whole cluster"),
        (WHOLE, {"new_name": ""}, "the new database's name"),
        (WHOLE, {"tables": ("public.customer",)}, "`tables` filled in"),
        (WHOLE, {"table_name": "x"}, "`table_name` filled in"),
        (WHOLE, {"what": "tablespace"}, "What comes back is one of"),
        (CLUSTER, {"new_name": "x", "connection": "y"}, "`connection`, `new_name` filled in"),
        (CLUSTER, {"folder": ""}, "`folder` is needed"),
    ],
)
def test_a_form_that_does_not_say_one_thing_is_refused_with_a_reason(form, changes, message):
    with pytest.raises(InputError, match=message):
        replace(form, **changes).request(ROOT)
