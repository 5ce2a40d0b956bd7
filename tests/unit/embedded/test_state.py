"""What is remembered between `make up` and `make down`."""

import json
import multiprocessing
import stat

import pytest

from strongroom.embedded.credentials import load_credentials
from strongroom.embedded.errors import StateFolderError, StateInUseError
from strongroom.embedded.folder import StateFolder, state_folder
from strongroom.embedded.state import PartRecord, State, boot_id
from strongroom.postgres.processes import ProcessIdentity


def own_record(**changes) -> PartRecord:
    own = ProcessIdentity.own()
    values = {
        "name": "part",
        "pid": own.pid,
        "start_ticks": own.start_ticks,
        "boot": boot_id(),
        "ports": {"ui": 1},
        "log_path": "/log",
    }
    return PartRecord(**{**values, **changes})


def mode(path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_state_is_read_back_as_it_was_saved(tmp_path):
    state = State(tmp_path / "state.json", ports={"ui": 8080}, done={"keys": True}, seconds={"x": 1.5})
    state.remember(own_record())
    assert State.load(state.path) == state


def test_a_folder_without_a_state_file_has_nothing_running(tmp_path):
    assert State.load(tmp_path / "state.json").parts == {}


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": "other", "parts": {}}', '{"parts": {"a": {}}}'])
def test_a_broken_state_file_is_refused_with_advice(tmp_path, text):
    (tmp_path / "state.json").write_text(text)
    with pytest.raises(StateFolderError, match="Stop the parts by hand"):
        State.load(tmp_path / "state.json")


def test_the_very_process_is_alive():
    assert own_record().alive()


def test_a_reused_process_id_is_somebody_else():
    assert not own_record(start_ticks=own_record().start_ticks + 1).alive()


def test_a_process_of_before_the_last_boot_is_gone():
    record = own_record(boot="another")
    assert record.identity is None
    assert not record.alive()


def test_secrets_are_generated_once_and_readable_by_their_owner_alone(tmp_path):
    path = tmp_path / "credentials.json"
    first = load_credentials(path)
    assert load_credentials(path) == first
    assert mode(path) == 0o600
    assert len(set(json.loads(path.read_text()).values())) == len(json.loads(path.read_text()))


def test_secrets_do_not_appear_in_a_printed_object(tmp_path):
    credentials = load_credentials(tmp_path / "credentials.json")
    assert credentials.airflow_admin not in repr(credentials)


def test_a_folder_of_an_earlier_version_is_given_the_second_persons_password(tmp_path):
    path = tmp_path / "credentials.json"
    before = load_credentials(path)
    document = json.loads(path.read_text())
    del document["airflow_approver"]
    path.write_text(json.dumps(document))
    after = load_credentials(path)
    assert after.control_superuser == before.control_superuser
    assert after.airflow_approver not in ("", before.airflow_approver)
    assert load_credentials(path) == after
    assert mode(path) == 0o600


def test_damaged_secrets_are_not_replaced_by_new_ones(tmp_path):
    path = tmp_path / "credentials.json"
    path.write_text("{}")
    with pytest.raises(StateFolderError):
        load_credentials(path)
    assert path.read_text() == "{}"


def test_a_state_folder_keeps_others_out_of_keys_and_data(tmp_path):
    folder = StateFolder(tmp_path / "state", tmp_path / "state")
    folder.prepare()
    folder.prepare()
    assert mode(folder.path) == 0o711
    assert {mode(folder.path / name) for name in ("keys", "s3", "airflow")} == {0o700}


def test_the_variable_names_another_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("STRONGROOM_STATE", str(tmp_path / "elsewhere"))
    assert state_folder().link == tmp_path / "elsewhere"


def test_a_folder_that_servers_cannot_enter_becomes_a_link(tmp_path):
    folder = StateFolder(tmp_path / "closed" / ".strongroom", tmp_path / "open" / "abc")
    folder.link.parent.mkdir()
    folder.prepare()
    assert folder.link.resolve() == folder.path
    folder.remove()
    assert not folder.path.exists()
    assert not folder.link.is_symlink()


def _hold(path, held, release) -> None:
    folder = StateFolder(path, path)
    with folder.locked():
        held.set()
        release.wait(30)


def test_two_starts_do_not_collide(tmp_path):
    folder = StateFolder(tmp_path / "state", tmp_path / "state")
    folder.prepare()
    context = multiprocessing.get_context("spawn")
    held, release = context.Event(), context.Event()
    other = context.Process(target=_hold, args=(folder.path, held, release))
    other.start()
    try:
        assert held.wait(30)
        with pytest.raises(StateInUseError, match=str(other.pid)), folder.locked():
            pass
    finally:
        release.set()
        other.join()
    with folder.locked():
        pass
