"""Keys in the signed-note encoding, and JSON documents signed with them."""

import pickle

import pytest

from strongroom.errors import ConfigurationError
from strongroom.signing import SignatureError, SignerKey, VerifierKey, verify_json


@pytest.fixture
def signer() -> SignerKey:
    return SignerKey.generate("strongroom.test")


def test_keys_survive_their_text_form(signer):
    assert SignerKey.parse(signer.encode()).verifier == signer.verifier
    assert VerifierKey.parse(str(signer.verifier)) == signer.verifier


def test_the_published_example_of_a_verifier_key_is_read():
    text = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
    assert str(VerifierKey.parse(text)) == text


def test_a_key_with_another_name_is_refused(signer):
    with pytest.raises(ConfigurationError, match="key id does not match"):
        VerifierKey.parse(str(signer.verifier).replace("strongroom.test", "other"))


def test_a_signed_document_verifies_and_comes_back_without_its_signature(signer):
    assert verify_json(signer.sign_json({"a": 1}), signer.verifier, "it") == {"a": 1}


@pytest.mark.parametrize("change", [{"a": 2}, {"b": 1}, {"signature": None}])
def test_an_altered_document_is_refused(signer, change):
    with pytest.raises(SignatureError):
        verify_json({**signer.sign_json({"a": 1}), **change}, signer.verifier, "it")


def test_a_document_of_another_key_is_refused(signer):
    other = SignerKey.generate("strongroom.test")
    with pytest.raises(SignatureError, match="another key"):
        verify_json(other.sign_json({"a": 1}), signer.verifier, "it")


def test_a_key_file_open_to_others_is_refused(signer, tmp_path):
    path = tmp_path / "key"
    path.write_text(signer.encode())
    path.chmod(0o644)
    with pytest.raises(ConfigurationError, match="chmod 600"):
        SignerKey.read(path)


def test_an_error_survives_the_way_between_processes():
    error = pickle.loads(pickle.dumps(SignatureError("broken", hint="mend it")))
    assert (type(error), str(error)) == (SignatureError, "broken\nmend it")
