"""What a hold reaches: the thing itself, all that it needs, and all that proves it."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strongroom.errors import InputError
from strongroom.lifetimes import Item, Kind, LogSpan
from strongroom.retention.hold_records import document, from_record, read_hold, release_sha256, to_record
from strongroom.retention.holds import Hold, HoldScope, ScopeKind, held, people_held
from strongroom.signing import SignatureError, SignerKey

DAY = timedelta(days=1)
START = datetime(2026, 3, 1, tzinfo=UTC)
PERSON = "ab" * 16
SEGMENT = 1 << 24


def backup(day, *, parent=None, cluster="7", database="shop"):
    return Item(
        kind=Kind.BACKUP,
        id=f"backup/{(START + day * DAY):%Y%m%dT%H%M%SZ}-0001",
        database=database,
        created_at=START + day * DAY,
        depends_on=(parent.id,) if parent else (),
        log=LogSpan(cluster, 1, day * 10 * SEGMENT, day * 10 * SEGMENT + 2 * SEGMENT),
    )


def wal(day, part, *, cluster="7"):
    """Two runs of five segments a day."""
    start = day * 10 * SEGMENT + part * 5 * SEGMENT
    moment = START + day * DAY + part * DAY / 2
    span = LogSpan(cluster, 1, start, start + 5 * SEGMENT)
    covers = (moment, moment + DAY / 2)
    return Item(Kind.WAL, f"wal/{cluster}/1/{start:016x}", "shop", moment + DAY / 2, log=span, covers=covers)


def proof(of):
    return Item(Kind.PROOF, f"proof/{of.id}", of.database, of.created_at + DAY / 4, about=of.id)


def archive(table, name, people):
    return Item(Kind.ARCHIVE, f"archive/{table}/{name}", "shop", START, table=table, people=people)


FULL = [backup(day) for day in range(10)]
CHAIN = [FULL[0], backup(20, parent=FULL[0])]
CHAIN.append(backup(21, parent=CHAIN[1]))
LOG = [wal(day, part) for day in range(25) for part in (0, 1)]
HISTORY = Item(Kind.TIMELINE, "timeline/7/2", "shop", START, log=LogSpan("7", 2, 0, 0))
DEBRIS = Item(Kind.DEBRIS, "debris/1", "shop", START)
ARCHIVES = [
    archive("public.orders", "a", frozenset({PERSON})),
    archive("public.orders", "b", frozenset({"cd" * 16})),
    archive("public.events", "c", None),
]
ESTATE = [*FULL, *CHAIN[1:], *LOG, HISTORY, DEBRIS, *ARCHIVES, *(proof(one) for one in FULL)]


def hold(kind, number=1, **members):
    scope = HoldScope(ScopeKind(kind), members.pop("database", "shop"), **members)
    return Hold(f"hold-20261124T020000Z-{number:04x}", scope, "case-2026-114", "ada", START)


def reached(*holds):
    return set(held(ESTATE, holds))


def test_a_hold_on_a_database_reaches_everything_but_what_was_never_finished():
    assert reached(hold("database")) == {item.id for item in ESTATE if item is not DEBRIS}


def test_a_hold_on_another_database_reaches_nothing():
    assert reached(hold("database", database="crm")) == set()


def test_a_released_hold_reaches_nothing():
    assert reached(hold("database").release(START)) == set()


def test_a_backup_is_held_with_the_backups_below_it_their_log_their_proofs_and_the_histories():
    found = reached(hold("backup", backup_id=CHAIN[2].id.removeprefix("backup/")))
    assert {one.id for one in CHAIN} <= found
    assert proof(FULL[0]).id in found
    assert HISTORY.id in found
    assert {wal(20, 0).id, wal(21, 0).id, wal(0, 0).id} <= found
    assert FULL[1].id not in found
    assert wal(5, 0).id not in found


def test_a_held_backup_does_not_hold_the_ones_on_top_of_it():
    assert CHAIN[1].id not in reached(hold("backup", backup_id=FULL[0].id.removeprefix("backup/")))


def test_a_period_holds_the_backup_before_it_and_the_log_through_it():
    since = START + 3 * DAY + timedelta(hours=6)
    found = reached(hold("period", since=since, until=since + 2 * DAY))
    assert {FULL[day].id for day in (3, 4, 5)} <= found
    assert {wal(day, part).id for day in (3, 4) for part in (0, 1)} <= found
    assert wal(5, 0).id in found  # 05:00 of the sixth day lies in it
    assert wal(5, 1).id in found  # what was committed at its end may have been shipped only now
    assert FULL[2].id not in found
    assert wal(6, 0).id not in found


def test_a_period_before_the_first_backup_holds_the_log_that_there_is():
    found = reached(hold("period", since=START - 9 * DAY, until=START + DAY / 4))
    assert wal(0, 0).id in found
    assert FULL[0].id in found


def test_a_table_holds_its_archives_and_every_backup_since_none_can_be_taken_apart():
    found = reached(hold("table", table="public.orders"))
    assert {one.id for one in ESTATE if one.kind in (Kind.BACKUP, Kind.WAL, Kind.PROOF)} <= found
    assert {ARCHIVES[0].id, ARCHIVES[1].id} <= found
    assert ARCHIVES[2].id not in found


def test_a_person_holds_the_archives_that_name_them_and_those_that_cannot_tell():
    found = reached(hold("person", person=PERSON))
    assert ARCHIVES[0].id in found
    assert ARCHIVES[1].id not in found
    assert ARCHIVES[2].id in found
    assert people_held([hold("person", person=PERSON)], "shop") == {PERSON}
    assert people_held([hold("person", person=PERSON).release(START)], "shop") == set()


def test_each_hold_that_reaches_a_thing_is_named():
    both = [hold("database", 1), hold("table", 2, table="public.orders")]
    found = held(ESTATE, both)
    assert found[ARCHIVES[0].id] == (both[0].id, both[1].id)
    assert found[ARCHIVES[2].id] == (both[0].id,)


def scopes():
    backups = st.sampled_from([one.id.removeprefix("backup/") for one in [*FULL, *CHAIN]])
    moments = st.integers(-48, 600).map(lambda hours: START + timedelta(hours=hours))
    return st.one_of(
        st.just(HoldScope(ScopeKind.DATABASE, "shop")),
        st.sampled_from(["public.orders", "public.events"]).map(
            lambda name: HoldScope(ScopeKind.TABLE, "shop", table=name)
        ),
        backups.map(lambda name: HoldScope(ScopeKind.BACKUP, "shop", backup_id=name)),
        st.tuples(moments, moments).map(
            lambda pair: HoldScope(ScopeKind.PERIOD, "shop", since=min(pair), until=max(pair))
        ),
    )


@given(st.lists(scopes(), max_size=4))
def test_what_is_held_can_be_restored(chosen):
    holds = [
        Hold(f"hold-20261124T020000Z-{n:04x}", scope, "case-1", "ada", START)
        for n, scope in enumerate(chosen)
    ]
    found, items = set(held(ESTATE, holds)), {item.id: item for item in ESTATE}
    for item in (items[name] for name in found):
        assert set(item.depends_on) <= found
        if item.kind is Kind.BACKUP:
            needed = [one.id for one in LOG if one.log.start < item.log.end and one.log.end > item.log.start]
            assert set(needed) <= found


@given(st.lists(scopes(), min_size=1, max_size=4))
def test_one_more_hold_never_frees_anything(chosen):
    holds = [
        Hold(f"hold-20261124T020000Z-{n:04x}", scope, "case-1", "ada", START)
        for n, scope in enumerate(chosen)
    ]
    assert set(held(ESTATE, holds[:-1])) <= set(held(ESTATE, holds))


@pytest.mark.parametrize(
    ("kind", "members"),
    [
        ("database", {"table": "public.orders"}),
        ("table", {}),
        ("person", {"person": "ada@example.org"}),
        ("period", {"since": START}),
        ("period", {"since": START, "until": START - DAY}),
        ("period", {"since": datetime(2026, 1, 1), "until": datetime(2026, 1, 2)}),
        ("backup", {"backup_id": "../../keys"}),
        ("database", {"database": "Shop; DROP"}),
    ],
)
def test_a_scope_that_says_too_little_too_much_or_nonsense_is_refused(kind, members):
    with pytest.raises(InputError):
        hold(kind, **members)


@pytest.mark.parametrize("reason", ["", "Ada Lovelace", "ada@example.org", "x" * 101])
def test_a_reason_is_a_reference_and_not_a_text_about_somebody(reason):
    with pytest.raises(InputError, match="case"):
        Hold("hold-20261124T020000Z-0001", HoldScope(ScopeKind.DATABASE, "shop"), reason, "ada", START)


@given(scopes(), st.booleans())
def test_a_hold_comes_back_from_its_record_without_who_placed_it(scope, released):
    signer = SignerKey.generate("test")
    one = Hold("hold-20261124T020000Z-0001", scope, "case-1", "ada", START, START if released else None)
    data = str(signer.sign_json(document(one))).replace("'", '"').replace("None", "null").encode()
    found = read_hold(data, f"holds/{one.id}.json", signer.verifier)
    assert found.placed_by is None
    assert (found.scope, found.released_at) == (one.scope, one.released_at)
    assert from_record(to_record(one)) == one
    with pytest.raises(SignatureError):
        read_hold(data.replace(b"case-1", b"case-2"), f"holds/{one.id}.json", signer.verifier)


def test_an_approval_of_one_holds_release_is_none_of_another():
    assert release_sha256(hold("database", 1)) != release_sha256(hold("database", 2))
