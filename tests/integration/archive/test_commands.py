"""`strongroom archive` as a person uses it."""

from __future__ import annotations

import json

from strongroom.errors import InputError
from tests.integration.archive.place import Place


def test_the_list_says_what_lies_where_and_until_when(place: Place) -> None:
    assert "Nothing of shop is archived yet." in place.command("list", "shop").stdout
    manifest = place.move("order_id <= 10")
    place.move("order_id <= 20", receipt=False)
    told = place.command("list", "shop")
    assert told.exit_code == 0
    assert manifest.part_id in told.stdout
    assert "unfinished" in told.stdout
    first = json.loads(place.command("list", "shop", "--json").stdout)[0]
    assert first["tables"][0]["rows"] == 10
    assert first["kept_until"] > first["archived_at"]


def test_the_list_names_the_holds_that_keep_a_part(place: Place) -> None:
    place.move("order_id <= 10")
    assert json.loads(place.command("list", "shop", "--json").stdout)[0]["holds"] == []
    hold = place.hold("shop")
    assert json.loads(place.command("list", "shop", "--json").stdout)[0]["holds"] == [hold]


def test_an_answer_comes_as_a_table_as_csv_or_as_json(place: Place) -> None:
    place.move("order_id <= 2")
    sql = "select order_id, total, null as nothing, '' as empty, total > 1 as more from orders order by 1"
    table = place.command("query", "shop", sql)
    assert table.exit_code == 0, table.output
    assert "order_id" in table.stdout
    csv = place.command("query", "shop", sql, "--csv")
    assert csv.stdout.splitlines() == [
        '"order_id","total","nothing","empty","more"',
        '"1","0.25",,"","false"',
        '"2","1.25",,"","true"',
    ]
    document = json.loads(place.command("query", "shop", sql, "--json").stdout)
    assert document["rows"] == [[1, "0.25", None, "", False], [2, "1.25", None, "", True]]
    assert document["columns"][1] == {"name": "total", "type": "DECIMAL(12,2)"}


def test_a_long_answer_is_cut_and_says_so(place: Place) -> None:
    told = place.command("query", "shop", "select * from range(600)")
    assert "first 500 rows" in told.output


def test_sql_and_a_person_can_come_from_standard_input(place: Place) -> None:
    place.move("order_id <= 60")
    assert place.command("query", "shop", "-", "--csv", given="select 7 as n").stdout.endswith('"7"\n')
    named = ("query", "shop", "select count(*) n from orders", "--csv", "--person")
    told = place.command(*named, "customer:customer_id=-", given="42\n")
    assert told.stdout.endswith('"60"\n')
    assert "Read 1 of 1 parts" in told.stderr
    refused = place.command(*named, "customer:email=c42@example.org")
    assert isinstance(refused.exception, InputError)
    assert "c42@example.org" not in str(refused.exception)
    assert isinstance(place.command(*named, "customer").exception, InputError)


def test_a_live_question_sees_both_sides(place: Place) -> None:
    place.move("order_id <= 60")
    told = place.command("query", "shop", "select count(*) from orders", "--live", "--json")
    assert json.loads(told.stdout)["rows"] == [[1000]]
