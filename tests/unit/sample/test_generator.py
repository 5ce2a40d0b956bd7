"""The generator of the sample company: the same for the same seed, and shaped like real life."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections import Counter, defaultdict
from datetime import date
from functools import lru_cache

import pytest

from strongroom.sample import SampleSizeError, SampleSpec, customers_for_bytes, parse_size_bytes
from strongroom.sample.plan import sample_blocks
from strongroom.sample.randomness import SLOTS, Wheel

REFERENCE = date(2026, 11, 24)

_DIGEST_PROGRAM = """
import hashlib
from datetime import date
from strongroom.sample import SampleSpec
from strongroom.sample.plan import sample_blocks
digest = hashlib.sha256()
for block, made in sample_blocks(SampleSpec(300, 7, date(2026, 11, 24))):
    digest.update(block.target.encode() + made.text)
print(digest.hexdigest())
"""


@lru_cache(maxsize=2)
def rows_by_table(customers: int = 2_000, seed: int = 1) -> dict[str, list[list[str]]]:
    rows: dict[str, list[list[str]]] = defaultdict(list)
    for block, made in sample_blocks(SampleSpec(customers, seed, REFERENCE)):
        # Not splitlines(): free text may hold other line separators of Unicode.
        rows[block.table] += [line.split("\t") for line in made.text.decode().split("\n")[:-1]]
    return rows


def digest_in_another_process(hash_seed: str) -> str:
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    command = [sys.executable, "-c", _DIGEST_PROGRAM]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.strip()


def test_every_process_makes_the_same_bytes_from_the_same_seed() -> None:
    digest = hashlib.sha256()
    for block, made in sample_blocks(SampleSpec(300, 7, REFERENCE)):
        digest.update(block.target.encode() + made.text)

    assert {digest_in_another_process("1"), digest_in_another_process("4242")} == {digest.hexdigest()}


def test_another_seed_names_other_people() -> None:
    names = {row[1] for row in rows_by_table(300, 1)["public.customer"]}

    assert len(names & {row[1] for row in rows_by_table(300, 2)["public.customer"]}) < len(names) / 10


@pytest.mark.parametrize("customers", [1, 2, 399, 401])
def test_a_tiny_company_has_every_table(customers: int) -> None:
    made = list(sample_blocks(SampleSpec(customers, 1, REFERENCE)))

    assert len({block.table for block, rows in made if rows.text}) == 15


def test_a_leap_day_can_be_the_reference() -> None:
    blocks = list(sample_blocks(SampleSpec(5, 1, date(2028, 2, 29))))

    assert {block.table for block, _ in blocks} >= {"public.orders"}


def test_households_share_an_address() -> None:
    members = Counter(row[6] for row in rows_by_table()["public.customer"] if row[6] != r"\N")

    sizes = Counter(members.values())
    assert sizes[1] > 100
    assert sizes[2] > 100
    assert sizes[3] > 50
    assert r"\N" in {row[6] for row in rows_by_table()["public.customer"]}


def test_referrals_form_chains() -> None:
    referrer = {row[0]: row[7] for row in rows_by_table()["public.customer"] if row[7] != r"\N"}

    def length(customer: str) -> int:
        return 1 + length(referrer[customer]) if customer in referrer else 0

    assert 0.15 < len(referrer) / 2_000 < 0.35
    assert max(map(length, referrer)) >= 3


def test_comments_point_at_several_kinds_of_things_that_exist() -> None:
    rows = rows_by_table()
    keys = {
        "product": {row[0] for row in rows["public.product"]},
        "order": {row[0] for row in rows["public.orders"]},
        "customer": {row[0] for row in rows["public.customer"]},
        "ticket": {row[0] for row in rows["support.ticket"]},
    }

    kinds = Counter(row[1] for row in rows["public.comment"])
    assert set(kinds) == set(keys)
    assert min(kinds.values()) > 300
    assert all(row[2] in keys[row[1]] for row in rows["public.comment"])


def test_newsletter_readers_are_partly_customers() -> None:
    customers = {row[1] for row in rows_by_table()["public.customer"]}
    readers = [row[0] for row in rows_by_table()["public.newsletter_subscription"]]

    known = sum(reader in customers for reader in readers)
    assert len(set(readers)) == len(readers)
    assert 0.4 < known / len(readers) < 0.8


def test_e_mail_addresses_are_reserved_ones_and_unique() -> None:
    emails = [row[1] for row in rows_by_table()["public.customer"]]

    assert len({email.lower() for email in emails}) == len(emails)
    assert {email.split("@")[1] for email in emails} == {"example.org", "example.net", "example.com"}
    assert all(email.isascii() for email in emails)


def test_names_come_from_many_scripts() -> None:
    letters = {letter for row in rows_by_table()["public.customer"] for letter in row[2]}

    assert {"é", "ü", "ł", "π", "и"} <= letters
    assert any("\u4e00" <= letter <= "\u9fff" for letter in letters)


def test_some_messages_name_another_customer() -> None:
    customers = {row[1]: row[0] for row in rows_by_table()["public.customer"]}
    ticket_owner = {row[0]: row[1] for row in rows_by_table()["support.ticket"]}

    mentions = 0
    for message in rows_by_table()["support.ticket_message"]:
        words = (word.strip("().,") for word in message[5].split() if "@" in word)
        mentions += any(
            customers.get(word, ticket_owner[message[1]]) != ticket_owner[message[1]] for word in words
        )
    assert mentions > 20


def test_a_few_customers_order_much_and_some_never() -> None:
    per_customer = Counter(row[2] for row in rows_by_table()["public.orders"])

    most = sum(count for _, count in per_customer.most_common(200))
    assert most / 20_000 > 0.3
    assert 2_000 - len(per_customer) > 300


def test_the_shop_grows_over_ten_years() -> None:
    years = Counter(row[1][:4] for row in rows_by_table()["public.orders"])

    assert set(years) == {str(year) for year in range(2016, 2027)}
    assert years["2018"] < years["2021"] < years["2025"]


def test_an_order_comes_to_the_sum_of_its_lines() -> None:
    sums: Counter[str] = Counter()
    for row in rows_by_table()["public.order_line"]:
        sums[row[0]] += int(row[4]) * int(row[5].replace(".", ""))

    assert all(sums[row[0]] == int(row[4].replace(".", "")) for row in rows_by_table()["public.orders"])


def test_nothing_happens_after_the_reference_date() -> None:
    stamps = {
        value
        for table, rows in rows_by_table().items()
        if table != "public.product"
        for row in rows
        for value in row
        if len(value) == 22 and value.endswith("+00")
    }

    assert max(stamps) < "2026-11-24"
    assert min(stamps) >= "2016-11-24"


def test_a_wheel_gives_each_value_its_share() -> None:
    wheel = Wheel(["a", "b", "c"], [1, 2, 5])

    assert len(wheel.slots) == SLOTS
    assert Counter(wheel.slots) == {"a": 8_192, "b": 16_384, "c": 40_960}


@pytest.mark.parametrize(
    ("text", "size_bytes"), [("5GB", 5 * 10**9), ("512 MiB", 2**29), ("1.5g", 1_500_000_000), ("1000", 1_000)]
)
def test_sizes_are_read_as_people_write_them(text: str, size_bytes: int) -> None:
    assert parse_size_bytes(text) == size_bytes


@pytest.mark.parametrize("text", ["", "big", "5 XB", "-1GB", "1e9"])
def test_a_text_that_names_no_size_is_refused(text: str) -> None:
    with pytest.raises(SampleSizeError):
        parse_size_bytes(text)


def test_a_company_without_customers_is_refused() -> None:
    with pytest.raises(SampleSizeError, match="0 customers"):
        SampleSpec(0, 1, REFERENCE)


def test_a_larger_database_has_more_customers() -> None:
    assert customers_for_bytes(1) == 1
    assert customers_for_bytes(5 * 10**9) > 300_000
