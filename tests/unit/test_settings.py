"""Settings: found, checked, and refused with a reason."""

from pathlib import Path

import pytest

from strongroom.errors import ConfigurationError
from strongroom.settings import load_settings

LOCAL = "store: {kind: local, directory: /backups}\n"


@pytest.fixture
def write(tmp_path, monkeypatch):
    monkeypatch.delenv("STRONGROOM_SETTINGS", raising=False)

    def write(text: str) -> Path:
        path = tmp_path / "settings.yaml"
        path.write_text(text)
        return path

    return write


def test_a_file_is_found_by_its_variable(write, monkeypatch):
    monkeypatch.setenv("STRONGROOM_SETTINGS", str(write(LOCAL)))
    assert load_settings().store.directory == Path("/backups")


def test_the_file_of_make_up_is_found_from_a_folder_below(tmp_path, monkeypatch, write):
    (tmp_path / ".strongroom").mkdir()
    (tmp_path / ".strongroom" / "settings.yaml").write_text(LOCAL)
    (tmp_path / "deep").mkdir()
    monkeypatch.chdir(tmp_path / "deep")
    assert load_settings().store.kind == "local"


def test_the_environment_overrides_the_file(write, monkeypatch):
    monkeypatch.setenv("STRONGROOM_STORE__DIRECTORY", "/elsewhere")
    assert load_settings(write(LOCAL)).store.directory == Path("/elsewhere")


def test_a_relative_path_belongs_to_the_files_folder(write, tmp_path):
    assert load_settings(write(LOCAL + "signing_key: ./keys/signer")).signing_key == tmp_path / "keys/signer"


def test_no_settings_at_all_is_said_plainly(tmp_path, monkeypatch, write):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigurationError, match=r"There are no settings.*\n.*make up"):
        load_settings()


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ConfigurationError, match="none.yaml does not exist"):
        load_settings(tmp_path / "none.yaml")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("store: {kind: s3, bucket: b4ckups, endpoint_url: 'http://s3.example.org'}", "must be https"),
        (LOCAL + "databases: {shop: 'host=db.example.org dbname=shop'}", "sslmode=verify-full"),
        (LOCAL + "control_database: 'postgresql://u:p@db.example.org/x?sslmode=require'", "verify-full"),
        (LOCAL + "stoer: 1", "stoer"),
        ("store: {kind: tape}", "tape"),
        ("store: [", "cannot be read"),
    ],
)
def test_an_unusable_setting_is_named(write, text, message):
    with pytest.raises(ConfigurationError, match=message):
        load_settings(write(text))


def test_a_connection_that_verifies_its_server_may_leave_the_machine(write):
    text = LOCAL + "databases: {shop: 'host=db.example.org dbname=shop sslmode=verify-full'}"
    assert "shop" in load_settings(write(text)).databases


def test_secrets_do_not_show_in_a_printout(write):
    settings = load_settings(write(LOCAL + "control_database: 'postgresql://u:geheim@localhost/x'"))
    assert "geheim" not in repr(settings)
    assert settings.control_database_url() == "postgresql://u:geheim@localhost/x"
