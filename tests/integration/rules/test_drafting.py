"""A first policy from a live catalogue: it loads, agrees with the database, and is right about most things."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest

from strongroom.policy import Policy
from strongroom.postgres import Cluster, Connection, connect
from strongroom.rules import examine, read_catalogue
from strongroom.rules.drafting import as_policy, draft_policy
from strongroom.rules.fideslang import export_fideslang
from strongroom.rules.importing import import_fideslang
from tests.support import TEST_DATA, require


@pytest.fixture(scope="session")
def pagila_database(control_server: Cluster) -> str:
    """How to connect to Pagila, a company that this software has not seen."""
    require("Pagila", (TEST_DATA / "pagila.sql").is_file())
    with connect(control_server.conninfo(), application_name="test") as connection:
        connection.execute("CREATE DATABASE rules_pagila")
    conninfo = control_server.conninfo("rules_pagila")
    command = ["psql", "-q", "-v", "ON_ERROR_STOP=1", "-d", conninfo, "-f", str(TEST_DATA / "pagila.sql")]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    return conninfo


@pytest.fixture
def pagila(pagila_database: str) -> Iterator[Connection]:
    """A connection to it, in a transaction that is rolled back."""
    connection = connect(pagila_database, application_name="test", autocommit=False)
    yield connection
    connection.rollback()
    connection.close()


def drafted(connection: Connection) -> Policy:
    """The draft as a policy, which has to agree with the database at once."""
    policy = as_policy(draft_policy("drafted", connection))
    assert examine(policy, connection, read_catalogue(connection)) == ()
    return policy


def kinds(policy: Policy, table: str) -> dict[str, str]:
    return {f"{','.join(link.columns)}>{link.to}": link.kind for link in policy.tables[table].links}


def test_a_draft_of_the_sample_is_what_a_person_wrote_but_for_time_limits(
    shop: Connection, policy: Policy
) -> None:
    made = drafted(shop)

    assert set(made.tables) == set(policy.tables)
    assert {name for name, table in made.tables.items() if table.exempt} == {
        name for name, table in policy.tables.items() if table.exempt
    }
    assert {subject.table for subject in made.subjects.values()} == {"public.customer", "support.staff"}
    assert kinds(made, "public.orders") == {"customer_id>public.customer": "owns"}
    assert kinds(made, "public.customer") == {
        "address_id>public.address": "shares",
        "referred_by>public.customer": "mentions",
    }
    assert kinds(made, "public.newsletter_subscription") == {"email>public.customer": "identity"}
    assert made.tables["public.customer"].columns["email"].erase == "random_email"


def test_a_draft_of_a_strangers_database_agrees_with_it(pagila: Connection) -> None:
    made = drafted(pagila)

    assert {subject.table for subject in made.subjects.values()} == {
        "public.actor", "public.customer", "public.staff",
    }  # fmt: skip
    assert "public.payment_p2022_01" not in made.tables
    assert kinds(made, "public.payment") == {
        "customer_id>public.customer": "owns",
        "rental_id>public.rental": "owns",
        "staff_id>public.staff": "mentions",
    }
    assert made.tables["public.city"].exempt


def test_a_draft_copes_with_names_and_shapes_that_nobody_expects(shop: Connection) -> None:
    shop.execute("""
        CREATE SCHEMA "Odd Ones";
        CREATE TABLE "Odd Ones"."Yes" ("on" text PRIMARY KEY, "no" int UNIQUE,
            "E-Mail: it's" text, "firstName" varchar(3));
        INSERT INTO "Odd Ones"."Yes" VALUES ('a', 1, 'x@example.org', 'abc');
        CREATE TABLE "Odd Ones"."null" (a int NOT NULL, b int NOT NULL REFERENCES "Odd Ones"."Yes" ("no"));
        CREATE TABLE "Odd Ones".nothing ();
        CREATE TABLE "Odd Ones".chicken (id int PRIMARY KEY,
            surname text NOT NULL UNIQUE CHECK (surname <> '[erased]'), egg int NOT NULL);
        CREATE TABLE "Odd Ones".egg (id int PRIMARY KEY, chicken int NOT NULL REFERENCES "Odd Ones".chicken);
        ALTER TABLE "Odd Ones".chicken ADD FOREIGN KEY (egg) REFERENCES "Odd Ones".egg;
    """)  # fmt: skip

    made = drafted(shop)

    assert made.tables['"Odd Ones"."Yes"'].columns["E-Mail: it's"].category == "user.contact.email"
    assert made.tables['"Odd Ones".chicken'].columns["surname"].erase == "random_text"


def test_no_content_is_in_a_draft(shop: Connection) -> None:
    names = shop.execute("SELECT email, full_name FROM public.customer").fetchall()

    text = draft_policy("shop", shop).text()

    assert names
    assert not any(value in text for row in names for value in row)


def test_a_data_map_goes_out_and_comes_back(shop: Connection, policy: Policy) -> None:
    catalogue = read_catalogue(shop)

    exported = export_fideslang(policy, catalogue)
    back = as_policy(import_fideslang(exported.encode(), "shop"))

    assert set(back.tables) == set(policy.tables)
    assert {subject.table for subject in back.subjects.values()} >= {"public.customer", "support.staff"}
    for name, table in policy.tables.items():
        for column, rule in table.columns.items():
            if rule.category.startswith("user.") and not any(column in link.columns for link in table.links):
                assert back.tables[name].columns[column].category == rule.category, (name, column)
    assert ("order_id", "public.orders") in {
        (column, link.to) for link in back.tables["public.payment"].links for column in link.columns
    }
