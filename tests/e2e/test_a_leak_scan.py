"""After an end-to-end run, nothing personal and no secret is where it does not belong."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from strongroom.services import Services

pytestmark = pytest.mark.e2e

_PERSONAL = """
    SELECT email FROM customer UNION SELECT full_name FROM customer
    UNION SELECT phone FROM customer WHERE phone IS NOT NULL
    UNION SELECT street FROM address WHERE length(street) > 9
    UNION SELECT email FROM newsletter_subscription UNION SELECT ship_to FROM orders
"""
_SHORTEST = 8
SIGN_INS = ("airflow_admin", "airflow_approver")


@pytest.fixture(scope="module")
def personal(running) -> list[bytes]:
    """Values of real rows of the sample that no machinery has a reason to hold."""
    with running.shop() as connection:
        values = [str(row[0]) for row in connection.execute(_PERSONAL)]
    assert len(values) > 400
    return [value.encode() for value in values if len(value) >= _SHORTEST]


@pytest.fixture(scope="module")
def secrets(running) -> list[bytes]:
    """Every generated password, and every private key."""
    keys = [path for path in (running.folder.path / "keys").iterdir() if path.is_file()]
    lines = [
        line for path in (*keys, *running.folder.escrow_keys()) for line in path.read_text().splitlines()
    ]
    private = [line for line in lines if "SECRET" in line or "PRIVATE" in line]
    assert len(private) >= 2
    return [value.encode() for value in (*running.credentials.values(), *private)]


@pytest.fixture(scope="module")
def machinery(running) -> dict[str, bytes]:
    """Everything that is written down in the clear, by where it is."""
    texts = {str(path): path.read_bytes() for path in running.folder.logs.rglob("*") if path.is_file()}
    texts["Airflow's metadata database"] = running.database_text("control", "airflow")
    texts["the control database"] = running.database_text("control", "strongroom")
    texts["what up printed"] = running.printed.encode()
    texts.update(_bucket(running))
    return texts


def _bucket(running) -> Iterator[tuple[str, bytes]]:
    """The keys of all objects, and the content of those that are not sealed."""
    store = Services(running.settings).store
    objects = list(store.list(""))
    assert any(item.key.endswith("/manifest.json") for item in objects)
    yield "the bucket's keys", "\n".join(item.key for item in objects).encode()
    for item in objects:
        if not item.key.endswith(".age"):
            yield item.key, store.get_bytes(item.key)


def test_no_personal_value_is_in_the_machinery(machinery, personal):
    found = {place: sum(value in text for value in personal) for place, text in machinery.items()}
    assert {place: count for place, count in found.items() if count} == {}


def test_no_secret_is_in_the_machinery(machinery, secrets, running):
    printed_on_purpose = [running.credentials[name].encode() for name in SIGN_INS]
    found = {
        place: sum(value in text for value in secrets if value not in printed_on_purpose)
        for place, text in machinery.items()
    }
    assert {place: count for place, count in found.items() if count} == {}


def test_the_sign_in_is_in_no_log(machinery, running):
    for name in SIGN_INS:
        password = running.credentials[name].encode()
        places = [place for place, text in machinery.items() if password in text]
        assert places == ["what up printed"]


def test_sealed_objects_do_not_show_their_content(running, personal):
    store = Services(running.settings).store
    sealed = [item for item in store.list("backups/") if item.key.endswith(".age")]
    assert len(sealed) >= 3
    for item in sealed:
        with store.open_range(item.key) as source:
            content = b"".join(iter(lambda source=source: source.read(1 << 20), b""))
        assert content.startswith(b"age-encryption.org/v1\n")
        assert not any(value in content for value in personal)
