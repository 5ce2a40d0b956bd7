"""A bucket that was rewrapped to another key comes back with the page's script too, and with nothing of ours."""

import os

import pytest

from strongroom.access import Actor, ActorKind, Role
from strongroom.postgres import service_account
from strongroom.sealing import KeyRing, LocalKeyProvider
from strongroom.storage import LocalObjectStore
from strongroom.vault.rewrapping import RewrapParts, Rewrapper
from tests.integration.disaster.conftest import content

ACTOR = Actor("keys", ActorKind.COMMAND, frozenset({Role.OPERATOR}))


@pytest.fixture
def identities(desk, told):
    """The old and the new epoch's identities, as files, after the desk's bucket was rewrapped."""
    of, store = told.site.parts, LocalObjectStore(desk.folder / "bucket")
    ring, provider = KeyRing(store, of.signer.verifier, of.clock), LocalKeyProvider(desk.folder / "local.key")
    old = ring.current("backup")
    new = ring.create_epoch(purpose="backup", provider=provider, signer=of.signer)
    Rewrapper(RewrapParts(store, {}, ring, provider, of.engine, of.sink, of.signer, of.clock)).run(ACTOR)
    found = {}
    for name, epoch in (("old", old), ("new", new)):
        found[name] = str(desk.folder / f"{name}.key")
        (desk.folder / f"{name}.key").write_text(f"{ring.identities(provider, [epoch.id])[0]}\n")
    account = service_account()
    if account is not None:
        for path in [desk.folder, *desk.folder.rglob("*")]:
            os.chown(path, account.uid, account.gid)
    return found


def test_the_script_restores_with_the_new_key_and_not_with_the_old_one(desk, told, identities):
    desk.values["IDENTITY"] = identities["old"]
    assert "does not open" in desk.script("--end").stderr
    desk.values["DIRECTORY"] = str(desk.folder / "again")
    desk.values["IDENTITY"] = identities["new"]
    done = desk.script("--end")
    assert done.returncode == 0, done.stderr
    assert (
        content(f"host={desk.folder / 'again.restore'} dbname=pagila user=postgres") == told.contents["quiet"]
    )


def test_a_rewrapped_object_that_was_altered_is_refused(desk, identities):
    (base,) = (desk.folder / "bucket").glob("backups/pagila/*/base.tar.zst.age")
    whole = base.read_bytes()
    base.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    desk.values["IDENTITY"] = identities["new"]
    assert "is not what the manifest says" in desk.script("--end").stderr
