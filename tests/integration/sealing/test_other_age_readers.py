"""Files go both ways between us, the `age` command and `pyrage`."""

import io
import shutil
import subprocess

import pyrage
import pytest

from strongroom.sealing import (
    UNCHECKED,
    LocalKeyProvider,
    X25519Identity,
    parse_header,
    parse_identities,
    rewrap,
    seal,
    unseal,
)
from tests.support import require

SIZES = [0, 1, 65535, 65536, 65537, 1_000_003]


@pytest.fixture(scope="module")
def age():
    command = shutil.which("age")
    require("the age command", command is not None)
    return command


@pytest.fixture
def key(tmp_path):
    identity = X25519Identity.generate()
    path = tmp_path / "key"
    path.write_text(f"{identity}\n")
    return identity, path


def sealed(data, *recipients):
    return b"".join(bytes(p) for p in seal([data], recipients, context={"key": "somewhere"}))


def opened(data, identity):
    return b"".join(bytes(p) for p in unseal(io.BytesIO(data), [identity], context=UNCHECKED))


def run(command, data):
    return subprocess.run(command, input=data, capture_output=True, check=True).stdout


@pytest.mark.parametrize("size", SIZES)
def test_the_age_command_opens_what_we_seal(age, key, size):
    identity, path = key
    data = bytes(range(251)) * (size // 251 + 1)
    assert run([age, "-d", "-i", str(path)], sealed(data[:size], identity.recipient)) == data[:size]


@pytest.mark.parametrize("size", SIZES)
def test_we_open_what_the_age_command_seals(age, key, size):
    identity, _ = key
    data = bytes(range(251)) * (size // 251 + 1)
    file = run([age, "-r", str(identity.recipient)], data[:size])
    assert opened(file, identity) == data[:size]


def test_the_age_command_opens_a_rewrapped_file(age, key, tmp_path):
    identity, path = key
    old = X25519Identity.generate()
    file = sealed(b"moved" * 100_000, old.recipient)
    length = parse_header(file)[1]
    moved = rewrap(file[:length], [old], [identity.recipient]) + file[length:]
    assert run([age, "-d", "-i", str(path)], moved) == b"moved" * 100_000


def test_a_key_made_by_age_keygen_is_a_key_file_of_ours(age, tmp_path):
    keygen = shutil.which("age-keygen")
    require("the age-keygen command", keygen is not None)
    path = tmp_path / "key"
    subprocess.run([keygen, "-o", str(path)], capture_output=True, check=True)
    wrapped = LocalKeyProvider(path).wrap(b"secret\n", {"epoch": "1"})
    assert run([age, "-d", "-i", str(path)], wrapped.data) == b"secret\n"
    assert str(parse_identities(path.read_text())[0].recipient) == wrapped.key


@pytest.mark.parametrize("size", SIZES)
def test_pyrage_and_we_open_each_other_s_files(size):
    theirs = pyrage.x25519.Identity.generate()
    ours = parse_identities(str(theirs))[0]
    assert str(ours.recipient) == str(theirs.to_public())
    data = bytes(range(253)) * (size // 253 + 1)
    assert pyrage.decrypt(sealed(data[:size], ours.recipient), [theirs]) == data[:size]
    assert opened(pyrage.encrypt(data[:size], [theirs.to_public()]), ours) == data[:size]
