"""A machine with nothing but the bucket and a key restores, and what it did comes into the log later."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from strongroom.audit import (
    EventType,
    JournalError,
    JournalNotTrustedError,
    JournalUnwritableError,
    verify_log,
)
from strongroom.audit.sink import person_commitment
from strongroom.backup.restoring.request import RestoreTarget
from strongroom.errors import AccessDeniedError, InputError
from strongroom.postgres import Cluster, connect
from strongroom.services import Services
from strongroom.settings import FileKeySettings, LocalStoreSettings, Settings
from strongroom.signing import SignatureError, VerifierKey
from tests.integration.restoring.conftest import Archived
from tests.integration.restoring.site import ACTOR, Site, numbers, opened

LATEST = RestoreTarget("latest")


def alone(site: Site, **changes: Any) -> Services:
    """The services of a machine that has the bucket, the key file and the public verifier key."""
    settings: dict[str, Any] = {
        "store": LocalStoreSettings(kind="local", directory=site.directory / "bucket"),
        "keys": FileKeySettings(path=site.directory / "local.key"),
        "verifier_key": str(site.signer.verifier),
        "journal_directory": site.directory / "journal",
        **changes,
    }
    return Services(Settings(**settings))


@pytest.fixture
def home(archived: Archived, control_server: Cluster) -> Iterator[Services]:
    """The installation itself, with a control database of its own: the log that others share stays as it is."""
    name = f"control_{secrets.token_hex(4)}"
    with connect(control_server.conninfo(), application_name="test") as connection:
        connection.execute(f"CREATE DATABASE {name}")
    site = archived.site
    services = Services(
        Settings(
            store=LocalStoreSettings(kind="local", directory=site.directory / "bucket"),
            signing_key=site.directory / "signing.key",
        ),
        control_database_url=f"postgresql://postgres@/{name}?host={control_server.socket_dir}&port=5432",
    )
    yield services
    services.engine.dispose()


def restore(services: Services, site: Site, into: Path) -> Any:
    plan = services.restores.plan(ACTOR, site.request(LATEST, into)).plan
    return services.restores.run(ACTOR, plan, plan.sha256)


def refused_plan(services: Services, site: Site, into: Path) -> None:
    """The shortest thing that is recorded: a plan."""
    services.restores.plan(ACTOR, site.request(LATEST, into))


def entries_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line)["entry"] for line in path.read_text().splitlines()[1:]]


def the_journal(site: Site) -> Path:
    (path,) = (site.directory / "journal").glob("*.jsonl")
    return path


def test_the_bucket_and_a_key_are_enough_and_the_log_learns_of_it(
    archived: Archived, into: Path, home: Services
) -> None:
    site = archived.site
    services = alone(site)
    report = restore(services, site, into)
    with opened(report, site.source) as cluster:
        assert numbers(cluster) == {commit.number for commit in archived.commits}

    state = services.journal.publish()
    assert state is not None
    assert state.own_key
    assert state.path == the_journal(site)
    recorded = entries_of(state.path)
    runs = [one["data"] for one in recorded if one["type"] == EventType.RESTORE_RUN_EXECUTE]
    assert [(run["phase"], run.get("outcome")) for run in runs] == [("attempt", None), ("result", "success")]
    assert recorded[0]["type"] == EventType.RESTORE_PLAN_MAKE
    assert any(one["type"] == EventType.VAULT_OBJECT_OPEN for one in recorded)
    assert ACTOR.name not in state.path.read_text()

    with pytest.raises(JournalNotTrustedError, match="not known here"):
        home.import_journals(ACTOR)
    (taken,) = home.import_journals(ACTOR, trusted=[state.signer])
    assert (taken.events, taken.new, taken.unfinished, taken.torn) == (len(recorded), len(recorded), 0, False)
    home.seal_audit_log(ACTOR)
    log = verify_log(home.store, home.verifier_key)
    assert log.size == len(recorded) + 1
    again = home.import_journals(ACTOR, state.path, [state.signer])
    assert [one.new for one in again] == [0]


def test_an_attempt_is_in_the_bucket_before_it_acts(archived: Archived, into: Path) -> None:
    site = archived.site
    services = alone(site)
    plan = services.restores.plan(ACTOR, site.request(LATEST, into)).plan
    seen: list[bytes] = []

    def look(stage: str, done: int, total: int) -> None:
        if not seen:
            seen.append(b"".join(site.store.get_bytes(info.key) for info in site.store.list("journal/")))

    services.restores.run(ACTOR, plan, plan.sha256, progress=look)
    assert b'"phase":"attempt"' in seen[0]
    assert b'"type":"restore:run:execute"' in seen[0]


def test_the_installations_own_key_needs_no_trust_and_the_person_is_known_from_the_file(
    archived: Archived, into: Path, home: Services
) -> None:
    site = archived.site
    services = alone(site, signing_key=site.directory / "signing.key")
    refused_plan(services, site, into)
    path = the_journal(site)
    (taken,) = home.import_journals(ACTOR, path)
    assert taken.new == 1
    with home.engine.connect() as connection:
        salt = connection.exec_driver_sql(
            "SELECT salt FROM audit_person WHERE name = 'restorer'"
        ).scalar_one()
    assert entries_of(path)[0]["data"]["actor"]["name"] == person_commitment(bytes(salt), ACTOR.name)
    assert path.with_suffix(".person").stat().st_mode & 0o077 == path.stat().st_mode & 0o077 == 0


def test_a_bucket_that_takes_nothing_leaves_the_file_alone_with_it(archived: Archived, into: Path) -> None:
    site = archived.site
    services = alone(site)
    (site.directory / "bucket" / "journal").write_text("in the way")
    refused_plan(services, site, into)
    state = services.journal.publish()
    assert state is not None
    assert (state.kept, bool(state.refused), state.events) == (None, True, 1)
    assert len(entries_of(state.path)) == 1


def test_what_cannot_be_recorded_is_not_done(archived: Archived, into: Path) -> None:
    site = archived.site
    (site.directory / "journal").write_text("no directory")
    with pytest.raises(JournalUnwritableError, match="journal_directory|cannot be written"):
        restore(alone(site), site, into)
    assert not into.exists()


def test_a_refusal_is_in_the_journal(archived: Archived, into: Path) -> None:
    from dataclasses import replace

    site = archived.site
    nobody = replace(ACTOR, roles=frozenset())
    with pytest.raises(AccessDeniedError):
        alone(site).restores.plan(nobody, site.request(LATEST, into))
    (entry,) = entries_of(the_journal(site))
    assert (entry["type"], entry["data"]["outcome"]) == ("access:permission:refuse", "denied")


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        (lambda lines: [lines[0].replace(b'"index":0', b'"index":1')], SignatureError, "does not hold"),
        (lambda lines: [lines[0], *lines[2:]], JournalError, "does not belong there"),
        (lambda lines: [*lines[:-1], lines[-1].replace(b"plan", b"pl4n")], SignatureError, "does not hold"),
        (lambda lines: [], JournalError, "no whole line"),
    ],
)
def test_a_journal_that_was_altered_is_refused_whole(
    archived: Archived, into: Path, home: Services, change: Any, error: type[Exception], says: str
) -> None:
    site = archived.site
    services = alone(site, signing_key=site.directory / "signing.key")
    refused_plan(services, site, into)
    refused_plan(services, site, into)
    path = the_journal(site)
    path.write_bytes(b"".join(line + b"\n" for line in change(path.read_bytes().splitlines())))
    with pytest.raises(error, match=says):
        home.import_journals(ACTOR, path)
    with home.engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM audit_queue").scalar_one() == 0


def test_a_killed_run_is_seen_in_what_is_left_of_its_journal(
    archived: Archived, into: Path, home: Services
) -> None:
    site = archived.site
    services = alone(site, signing_key=site.directory / "signing.key")
    restore(services, site, into)
    path = the_journal(site)
    lines = path.read_bytes().splitlines(keepends=True)
    begun = next(index for index, line in enumerate(lines) if b"restore:run:execute" in line)
    path.write_bytes(b"".join(lines[: begun + 1]) + lines[begun + 1][:40])
    (taken,) = home.import_journals(ACTOR, path)
    assert (taken.new, taken.unfinished, taken.torn) == (2, 1, True)


def test_another_installations_journal_is_refused(archived: Archived, into: Path, home: Services) -> None:
    from strongroom.signing import SignerKey

    site = archived.site
    services = alone(site)
    refused_plan(services, site, into)
    path = the_journal(site)
    signer = VerifierKey.parse(json.loads(path.read_bytes().splitlines()[0])["signature"]["key"])
    (site.directory / "signing.key").write_text(SignerKey.generate("elsewhere.test").encode())
    with pytest.raises(JournalError, match="another installation"):
        home.import_journals(ACTOR, path, [signer])
    with pytest.raises(InputError, match="cannot be read"):
        home.import_journals(ACTOR, path / "nothing")
