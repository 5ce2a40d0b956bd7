"""The published vectors of the age format: what must open opens, what must not is refused with the reason."""

import hashlib
import io
import zlib

import pytest

from strongroom.sealing import (
    UNCHECKED,
    ChunkError,
    HeaderError,
    HeaderMacError,
    NotAgeFileError,
    PassphraseIdentity,
    TrailingDataError,
    TruncatedError,
    WrongKeyError,
    parse_identity,
    unseal,
)
from tests.support import TEST_DATA, require

VECTORS = TEST_DATA / "age-vectors"

# ASCII armor is a second, textual form of the format. Objects in a bucket are binary, and `age -d` reads
# armored files for whoever has one; so these are not applicable, each by its name.
ARMORED = {
    f"armor_{name}"
    for name in [
        "crlf",
        "empty",
        "empty_last_line",
        "empty_line_begin",
        "empty_line_end",
        "eol_between_padding",
        "full_last_line",
        "garbage_encoded",
        "garbage_leading",
        "garbage_trailing",
        "header_crlf",
        "headers",
        "hybrid",
        "invalid_character_header",
        "invalid_character_payload",
        "long_line",
        "lowercase",
        "no_end_line",
        "no_eol",
        "no_match",
        "no_padding",
        "not_canonical",
        "pgp_checksum",
        "scrypt",
        "short_line",
        "whitespace_begin",
        "whitespace_end",
        "whitespace_eol",
        "whitespace_last_line",
        "whitespace_line_start",
        "whitespace_outside",
        "wrong_type",
        "x25519",
    ]
}

REASONS = {
    "no match": (WrongKeyError,),
    "HMAC failure": (HeaderMacError,),
    "header failure": (HeaderError, NotAgeFileError),
    "payload failure": (TruncatedError, ChunkError, TrailingDataError),
}


def names():
    return sorted(path.name for path in VECTORS.iterdir()) if VECTORS.is_dir() else []


def read(name):
    head, _, body = (VECTORS / name).read_bytes().partition(b"\n\n")
    fields = [line.split(": ", 1) for line in head.decode().splitlines()]
    identities = [parse_identity(value) for field, value in fields if field == "identity"]
    identities += [PassphraseIdentity(value) for field, value in fields if field == "passphrase"]
    values = dict(fields)
    return values, identities, zlib.decompress(body) if values.get("compressed") == "zlib" else body


def open_all(data, identities):
    """The plaintext that came out, and the error that ended it."""
    plaintext = b""
    try:
        for piece in unseal(io.BytesIO(data), identities, context=UNCHECKED):
            plaintext += piece
    except Exception as error:
        return plaintext, error
    return plaintext, None


def test_the_vectors_are_all_there():
    require("the age test vectors", VECTORS.is_dir())
    assert len(names()) == 143
    assert set(names()) >= ARMORED


@pytest.mark.parametrize("name", [name for name in names() if name not in ARMORED])
def test_a_published_vector_has_the_published_outcome(name):
    fields, identities, data = read(name)
    plaintext, error = open_all(data, identities)
    if fields["expect"] == "success":
        assert error is None
    else:
        assert isinstance(error, REASONS[fields["expect"]]), repr(error)
    if "payload" in fields:
        assert hashlib.sha256(plaintext).hexdigest() == fields["payload"]


@pytest.mark.parametrize("name", sorted(ARMORED & set(names())))
def test_an_armored_file_is_refused_as_no_age_file(name):
    fields, identities, data = read(name)
    if name == "armor_no_match" or fields.get("armored") == "yes":
        _, error = open_all(data, identities or [parse_identity(KEY)])
        assert isinstance(error, (NotAgeFileError, HeaderError))


KEY = "AGE-SECRET-KEY-1EGTZVFFV20835NWYV6270LXYVK2VKNX2MMDKWYKLMGR48UAWX40Q2P2LM0"
