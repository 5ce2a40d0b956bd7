"""Policies whose parts are each right and do not fit together."""

# ruff: noqa: E501 (one case, one line)

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.policy.support import HEAD, loaded, mistakes

PURPOSES = "purposes:\n  sales: {lawful_basis: contract}\n"
SUBJECTS = """\
subjects:
  customer: {table: public.customer, identifiers: {customer_id: {column: customer_id, direct: false}}}
"""
CUSTOMER = """\
tables:
  public.customer:
    purpose: [sales]
    columns: {full_name: {category: user.name, erase: "[erased]"}}
"""
SHOP = HEAD + PURPOSES + SUBJECTS + CUSTOMER
"""A small policy that fits together; what is added begins on line 12, inside tables."""


def test_the_small_policy_fits_together(tmp_path: Path) -> None:
    assert loaded(tmp_path, SHOP).tables["public.customer"].classified() == {"full_name"}


@pytest.mark.parametrize(
    ("backup", "what"),
    [
        (
            "method: logical, wal: {ship_every: 5m, keep: 14d}",
            "backup.wal: wal needs method physical: a logical backup has no WAL",
        ),
        (
            "method: logical, full_every: 7d",
            "backup.full_every: full_every needs method physical: a logical backup has no WAL",
        ),
        (
            "recipients: [escrow]",
            "backup.recipients: must name epoch: without the epoch's key no backup could be restored and proven",
        ),
        ("recipients: [epoch, epoch]", "backup.recipients[1]: 'epoch' stands in the list twice"),
        ("copies: [offsite, offsite]", "backup.copies[1]: 'offsite' stands in the list twice"),
        (
            "wal: {ship_every: 1d, keep: 2h}",
            "backup.wal.keep: WAL that is shipped every 1d must be kept longer than 2h",
        ),
        ("keep: {proven: 0}", "backup.keep.proven: must be at least 1, not 0"),
        ("keep: {last: 0}", "backup.keep.last: must be at least 1, not 0"),
        ("keep: {daily: -1}", "backup.keep.daily: must be at least 0, not -1"),
        ("lock: {mode: governance, days: 0}", "backup.lock.days: must be at least 1, not 0"),
        (
            "lock: {mode: complience, days: 1}",
            "backup.lock.mode: must be governance or compliance, not 'complience'; did you mean 'compliance'?",
        ),
        (
            "timezone: Europe/Bruxelles",
            "backup.timezone: 'Europe/Bruxelles' is not a time zone; write UTC or a name like Europe/Brussels",
        ),
        (
            "timezone: ../../etc/passwd",
            "backup.timezone: '../../etc/passwd' is not a time zone; write UTC or a name like Europe/Brussels",
        ),
    ],
)
def test_backups_that_cannot_be_made_or_proven_are_refused(tmp_path: Path, backup: str, what: str) -> None:
    (line,) = mistakes(tmp_path, HEAD.replace('"}', f'", {backup}}}'))

    assert line.split(": ", 1)[1] == what


@pytest.mark.parametrize(
    ("more", "lines"),
    [
        (
            "verify: {random_point: true}\n",
            ["4:24: verify.random_point: random_point needs backup.wal: without shipped WAL there is only the backup's restore point"],
        ),
        ("objectives: {rpo: 1h}\n", ["4:19: objectives.rpo: an RPO of 1h cannot be met: without backup.wal, backups run up to 1d apart"]),
        ("objectives: {rpo: 24h, rto: 1h}\n", []),
        (
            "purposes: {sales: {lawful_basis: contract, renew_after: 1y}}\n",
            ["4:57: purposes.sales.renew_after: renew_after is about consent, and the lawful basis of 'sales' is contract"],
        ),
        ("purposes: {news: {lawful_basis: consent, renew_after: 1y, on_withdrawal: erase}}\n", []),
        (
            "subjects: {customer: {table: public.custmer, identifiers: {}}}\ntables: {public.customer: {exempt: none}}\n",
            [
                "4:30: subjects.customer.table: the table 'public.custmer' is not declared under tables; did you mean 'public.customer'?",
                "4:46: subjects.customer.identifiers: a customer needs an identifier, or nobody can be found",
            ],
        ),
        ("verify: {fingerprint: [public.oders]}\ntables: {public.orders: {exempt: none}}\n",
         ["4:24: verify.fingerprint[0]: the table 'public.oders' is not declared under tables; did you mean 'public.orders'?"]),
        ("tables: {public.a: {exempt: none, purpose: [x]}}\n", ["4:35: tables[\"public.a\"].purpose: purpose contradicts exempt: an exempt table has no personal data"]),
        ("tables: {public.a: {}}\n", ["4:10: tables[\"public.a\"]: nothing is said about the table: classify its columns, or say why it is exempt"]),
        ("tables: {public.a: {exempt: ''}}\n", ["4:29: tables[\"public.a\"].exempt: must not be empty"]),
    ],
)  # fmt: skip
def test_the_other_parts_are_checked_against_each_other(tmp_path: Path, more: str, lines: list[str]) -> None:
    if lines:
        assert mistakes(tmp_path, HEAD + more) == [f"shop.yaml:{line}" for line in lines]
    else:
        loaded(tmp_path, HEAD + more)


@pytest.mark.parametrize(
    ("rule", "where", "what"),
    [
        ("purpose: [salse], not_personal: [a]", ".purpose[0]", "the purpose 'salse' is not declared under purposes; did you mean 'sales'?"),
        ("columns: {a: {category: user.name, erase: set_null}}, links: [{columns: [c], to: public.customer, kind: owns}]", "", "holds personal data and names no purpose"),
        ("purpose: [sales], columns: {a: {category: user.name, erase: set_null}}", "", "holds personal data (a), and no link leads from it to a person: no request would find it"),
        ("purpose: [sales], columns: {a: {category: user.name}}, links: [{columns: [c], to: public.customer, kind: owns}]", ".columns.a", "user.name is personal data: say how it is erased (erase)"),
        ("columns: {a: {category: system, erase: remove}}", ".columns.a", "remove is for a value inside JSON (paths); a column is emptied by set_null"),
        ("columns: {a: {category: system}}, not_personal: [a]", ".not_personal[0]", "the column 'a' stands under columns as well"),
        ("not_personal: [a, a]", ".not_personal[1]", "'a' stands in the list twice"),
        ("links: [{columns: [a], to: public.custmer, kind: owns}]", ".links[0].to", "the table 'public.custmer' is not declared under tables; did you mean 'public.customer'?"),
        ("links: [{columns: [a], to: public.counters, kind: owns}]", ".links[0].to", "'public.counters' is exempt: only a lookup can lead to it"),
        ("links: [{columns: [a, b], to: public.customer, to_columns: [c], kind: owns}]", ".links[0].to_columns", "2 columns cannot refer to 1"),
        ("links: [{columns: [a, a], to: public.customer, kind: owns}]", ".links[0].columns", "a column stands in the list twice"),
        ("links: [{columns: [], to: public.customer, kind: owns}]", ".links[0].columns", "must not be empty"),
        ("links: [{columns: [a], to: public.customer, kind: identity}]", ".links[0]", "an identity link needs to_columns: which column holds the same value"),
        ("links: [{columns: [a], to: public.customer, kind: owns, normalise: email}]", ".links[0].normalise", "normalise belongs to kind identity, not to owns"),
        ("links: [{columns: [a], to: public.customer, kind: owns, role: owns}]", ".links[0].role", "role belongs to kind identity or polymorphic, not to owns"),
        ("links: [{columns: [a], to: public.customer, kind: polymorphic, type_column: t}]", ".links[0]", "a polymorphic link needs type_value: which rows mean this table"),
        ("links: [{columns: [a], to: public.customer, kind: belongs}]", ".links[0].kind", "must be owns, shares, mentions, lookup, identity or polymorphic, not 'belongs'"),
        ("retain: {for: 1y, from: a, then: archive}", ".retain.then", "then: archive needs an archive rule for this table"),
        ("retain: {for: 1y, from: a, then: erase_subject}", ".retain.then", "erase_subject is for tables of subjects: whose row would it be?"),
        ("archive: {older_than: 2y, by: a, keep: 1y, purpose: sales}", ".archive.keep", "rows move to the archive at 2y; keeping them for 1y would delete them before"),
        ("archive: {older_than: 2y, by: a, keep: 9y, purpose: sales}, retain: {for: 1y, from: a, then: delete}", ".archive.older_than", "rows leave the table after 1y, so none is ever 2y old"),
        ("archive: {older_than: 2y, by: a, keep: 5y, purpose: sales}, on_erasure: {keep_until: {for: 7y, from: a, basis: legal_obligation}}", ".archive.keep", "rows would be deleted after 5y, and on_erasure says they must stay for 7y (legal_obligation)"),
        ("retain: {for: 5y, from: a, then: delete}, on_erasure: {keep_until: {for: 7y, from: a, basis: legal_obligation}}", ".retain.for", "rows would be deleted after 5y, and on_erasure says they must stay for 7y (legal_obligation)"),
        ("on_erasure: {}", ".on_erasure", "says nothing: name keep_until, redact, or both"),
        ("on_erasure: {redact: [a]}", ".on_erasure.redact[0]", "the column 'a' has no erase under columns, so nothing could replace it"),
        ("restriction: {method: row_security, view: public.v}", ".restriction", "view belongs to method view, and to it alone"),
    ],
)  # fmt: skip
def test_rules_of_a_table_that_contradict_themselves_are_refused(
    tmp_path: Path, rule: str, where: str, what: str
) -> None:
    text = f"{SHOP}  public.counters: {{exempt: no people}}\n  public.orders: {{{rule}}}\n"
    (line,) = mistakes(tmp_path, text)

    assert line.startswith("shop.yaml:13:")
    assert line.split(": ", 1)[1] == f'tables["public.orders"]{where}: {what}'


def test_a_direct_identifier_cannot_be_declared_harmless(tmp_path: Path) -> None:
    text = SHOP.replace("{column: customer_id,", "{column: full_name,")

    assert mistakes(tmp_path, text) == [
        "shop.yaml:7:93: subjects.customer.identifiers.customer_id.direct: the column 'full_name' is user.name, "
        "which tells who the person is; write true"
    ]


@pytest.mark.parametrize(
    "link",
    [
        "{columns: [a], to: public.customer, kind: owns}",
        "{columns: [a], to: public.customer, kind: mentions, on_erase: set_null, on_access: redact}",
        "{columns: [a, b], to: public.customer, to_columns: [c, d], kind: owns}",
        "{columns: [email], to: public.customer, to_columns: [email], kind: identity, normalise: email}",
        "{columns: [prefs], to: public.customer, to_columns: [email], kind: identity, path: contact.email}",
        "{columns: [a], to: public.customer, kind: polymorphic, type_column: t, type_value: customer}",
    ],
)
def test_every_kind_of_link_leads_to_the_person(tmp_path: Path, link: str) -> None:
    rule = "purpose: [sales], columns: {x: {category: user.name, erase: set_null}}"

    policy = loaded(tmp_path, f"{SHOP}  public.orders: {{{rule}, links: [{link}]}}\n")

    assert policy.tables["public.orders"].links[0].meaning in ("owns", "mentions")


def test_a_shared_row_is_found_from_those_who_share_it(tmp_path: Path) -> None:
    share = "    links: [{columns: [address_id], to: public.address, kind: shares}]\n"
    address = (
        "  public.address: {purpose: [sales], columns: {street: {category: user.contact, erase: set_null}}}\n"
    )

    loaded(tmp_path, SHOP + share + address)


def test_a_lookup_does_not_make_a_table_reachable(tmp_path: Path) -> None:
    link = "{columns: [a], to: public.customer, kind: lookup}"
    rule = f"purpose: [sales], columns: {{x: {{category: user.name, erase: set_null}}}}, links: [{link}]"

    (line,) = mistakes(tmp_path, f"{SHOP}  public.orders: {{{rule}}}\n")

    assert line.endswith("no link leads from it to a person: no request would find it")
