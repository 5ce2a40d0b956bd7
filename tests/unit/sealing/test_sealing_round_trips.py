"""What was sealed opens again, whole or in parts, and what was tampered with does not."""

import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strongroom.errors import InputError
from strongroom.sealing import (
    UNCHECKED,
    ChunkError,
    ContextMismatchError,
    DamagedEndError,
    FileRange,
    HeaderMacError,
    KeyTextError,
    NotAgeFileError,
    PassphraseIdentity,
    PassphraseRecipient,
    ReorderedError,
    SealedReader,
    TrailingDataError,
    TruncatedError,
    TruncatedHeaderError,
    WrongKeyError,
    X25519Identity,
    XWingIdentity,
    parse_header,
    parse_identities,
    parse_identity,
    parse_recipient,
    rewrap,
    seal,
    unseal,
)

CHUNK = 65536
SEALED = CHUNK + 16
IDENTITY = X25519Identity.generate()
CONTEXT = {"format": "strongroom/object/v1", "key": "backups/a", "kind": "backup"}
BOUNDARIES = [
    0,
    1,
    CHUNK - 1,
    CHUNK,
    CHUNK + 1,
    2 * CHUNK,
    15 * CHUNK + 7,
    16 * CHUNK,
    16 * CHUNK + 1,
    33 * CHUNK,
]


def sealed(data, recipients=None, context=CONTEXT):
    recipients = recipients or [IDENTITY.recipient]
    return b"".join(bytes(piece) for piece in seal([data], recipients, context=context))


def opened(data, identity=IDENTITY, context=CONTEXT):
    return b"".join(bytes(piece) for piece in unseal(io.BytesIO(data), [identity], context=context))


def content(size):
    return (b"0123456789abcdef" * (size // 16 + 1))[:size]


def payload_start(file):
    return parse_header(file)[1] + 16


@pytest.mark.parametrize("size", BOUNDARIES)
@pytest.mark.parametrize("identity", [IDENTITY, XWingIdentity.generate()], ids=["x25519", "xwing"])
def test_a_file_of_any_size_comes_back(size, identity):
    data = content(size)
    file = sealed(data, [identity.recipient])
    assert opened(file, identity) == data
    assert len(file) - payload_start(file) == size + 16 * max(1, -(-size // CHUNK))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 3 * CHUNK), max_size=6), st.integers(0, 2))
def test_however_the_source_is_cut_the_same_comes_back(sizes, extra):
    pieces = [content(size) for size in sizes] + [b"x" * extra]
    file = b"".join(bytes(p) for p in seal(pieces, [IDENTITY.recipient], context=None))
    assert opened(file, context=UNCHECKED) == b"".join(pieces)


def test_a_reused_source_buffer_is_not_read_again():
    buffer = bytearray(100_000)

    def pieces():
        for value in range(5):
            buffer[:] = bytes([value]) * len(buffer)
            yield buffer
            buffer[:] = b"\xff" * len(buffer)

    file = b"".join(bytes(p) for p in seal(pieces(), [IDENTITY.recipient], context=None))
    assert opened(file, context=UNCHECKED) == b"".join(bytes([v]) * 100_000 for v in range(5))


def test_each_of_several_recipients_opens_the_file():
    identities = [X25519Identity.generate() for _ in range(3)]
    file = sealed(b"for all", [identity.recipient for identity in identities])
    assert {opened(file, identity) for identity in identities} == {b"for all"}


def test_a_key_that_is_no_recipient_is_a_wrong_key():
    with pytest.raises(WrongKeyError, match="1 recipients"):
        opened(sealed(b"secret"), X25519Identity.generate())


def test_nobody_to_seal_for_is_refused():
    with pytest.raises(InputError, match="nobody"):
        list(seal([b"x"], [], context=None))


def test_classic_and_post_quantum_recipients_do_not_mix():
    with pytest.raises(InputError, match="must not stand in one file"):
        sealed(b"x", [IDENTITY.recipient, XWingIdentity.generate().recipient])


def test_a_passphrase_stands_alone():
    recipient = PassphraseRecipient("correct horse", work_factor=10)
    assert opened(sealed(b"x", [recipient], None), PassphraseIdentity("correct horse"), UNCHECKED) == b"x"
    with pytest.raises(WrongKeyError):
        opened(sealed(b"x", [recipient], None), PassphraseIdentity("battery staple"), UNCHECKED)
    with pytest.raises(InputError, match="alone"):
        sealed(b"x", [recipient, recipient], None)


@pytest.mark.parametrize("other", [{**CONTEXT, "key": "backups/b"}, {**CONTEXT, "kind": "proof"}, {}])
def test_a_file_does_not_open_in_another_place(other):
    with pytest.raises(ContextMismatchError, match="for another context"):
        opened(sealed(b"x"), context=other)


def test_a_file_without_a_context_does_not_open_where_one_is_expected():
    with pytest.raises(ContextMismatchError, match="without a context"):
        opened(sealed(b"x", context=None))


def test_a_context_cannot_be_edited():
    file = sealed(b"x")
    place = file.index(b"strongroom/context ") + 19
    letter = b"A" if file[place : place + 1] != b"A" else b"B"
    with pytest.raises(HeaderMacError):
        opened(file[:place] + letter + file[place + 1 :])


@pytest.mark.parametrize("size", [0, 1, CHUNK, CHUNK + 1, 17 * CHUNK])
@pytest.mark.parametrize("where", ["first", "middle", "last"])
def test_a_flipped_bit_in_the_payload_is_found(size, where):
    file = bytearray(sealed(content(size)))
    start = payload_start(file)
    file[{"first": start, "middle": (start + len(file)) // 2, "last": -1}[where]] ^= 4
    with pytest.raises(ChunkError):
        opened(file)


def test_a_flipped_bit_anywhere_in_the_header_is_refused():
    file = sealed(b"x")
    for position in range(payload_start(file) - 16):
        damaged = bytearray(file)
        damaged[position] ^= 1
        with pytest.raises(Exception) as caught:
            opened(bytes(damaged))
        assert caught.value.exit_code == 3


def test_a_file_cut_anywhere_is_truncated():
    file = sealed(content(2 * CHUNK + 100))
    start = payload_start(file)
    cuts = [*range(0, start, 7), start, start + 1, start + 15, start + 16, start + SEALED - 1, start + SEALED]
    for cut in [*cuts, start + SEALED + 1, start + 2 * SEALED, len(file) - 1, len(file) - 16]:
        with pytest.raises(TruncatedError) as caught:
            opened(file[:cut])
        assert isinstance(caught.value, TruncatedHeaderError) == (cut < start)


def test_a_file_cut_between_chunks_is_told_from_a_damaged_one():
    file = sealed(content(3 * CHUNK))
    with pytest.raises(TruncatedError) as caught:
        opened(file[:-SEALED])
    assert not isinstance(caught.value, DamagedEndError)
    assert "ends after 2 chunks" in caught.value.message


@pytest.mark.parametrize("order", [(1, 0, 2), (0, 2, 1), (0, 0, 1, 2), (0, 2), (1, 2), (2,)])
def test_chunks_out_of_order_are_named(order):
    file = sealed(content(2 * CHUNK + 9))
    start = payload_start(file)
    chunks = [
        file[start : start + SEALED],
        file[start + SEALED : start + 2 * SEALED],
        file[start + 2 * SEALED :],
    ]
    with pytest.raises((ReorderedError, TrailingDataError, ChunkError)) as caught:
        opened(file[:start] + b"".join(chunks[number] for number in order))
    if order in ((1, 0, 2), (0, 0, 1, 2), (0, 2), (1, 2), (2,)):
        assert isinstance(caught.value, ReorderedError)


def test_something_behind_the_last_full_chunk_is_found():
    with pytest.raises(TrailingDataError):
        opened(sealed(content(CHUNK)) + b"more")
    with pytest.raises(ChunkError):
        opened(sealed(content(100)) + b"more")


def test_what_came_before_the_damage_is_given_out_first():
    file = bytearray(sealed(content(40 * CHUNK)))
    file[payload_start(file) + 20 * SEALED + 5] ^= 1
    got = io.BytesIO()
    with pytest.raises(ChunkError, match="Chunk 20 "):
        got.writelines(unseal(io.BytesIO(file), [IDENTITY], context=CONTEXT))
    assert got.getvalue() == content(40 * CHUNK)[: 20 * CHUNK]


def test_other_data_is_no_age_file():
    with pytest.raises(NotAgeFileError):
        opened(b"PGDMP" + bytes(1000))


def reader(file, **options):
    return SealedReader(FileRange(io.BytesIO(file)), [IDENTITY], context=CONTEXT, **options)


RANDOM_ACCESS = content(20 * CHUNK + 77)
RANDOM_ACCESS_FILE = sealed(RANDOM_ACCESS)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, len(RANDOM_ACCESS) + 10), st.integers(0, 5 * CHUNK), st.sampled_from([1, 2, 16]))
def test_a_range_read_is_the_slice(start, size, window):
    with reader(RANDOM_ACCESS_FILE, window_chunks=window) as file:
        assert file.seek(start) == start
        assert io.BufferedReader(file).read(size) == RANDOM_ACCESS[start : start + size]


@pytest.mark.parametrize("size", BOUNDARIES)
def test_the_size_is_known_and_verified_at_once(size):
    with reader(sealed(content(size))) as file:
        assert file.size_bytes == size
        assert file.seek(0, io.SEEK_END) == size
        file.seek(0)
        assert file.readall() == content(size)


@pytest.mark.parametrize("cut", [1, 16, 77 + 16, SEALED, SEALED + 77 + 16, 5 * SEALED])
def test_a_cut_file_is_refused_before_anything_is_read_from_it(cut):
    with pytest.raises(TruncatedError):
        reader(RANDOM_ACCESS_FILE[:-cut])


def test_reading_one_place_does_not_trust_another():
    file = bytearray(RANDOM_ACCESS_FILE)
    file[payload_start(file) + 10 * SEALED] ^= 1
    with reader(file, window_chunks=1) as damaged:
        damaged.seek(9 * CHUNK)
        assert damaged.read(10) == RANDOM_ACCESS[9 * CHUNK : 9 * CHUNK + 10]
        damaged.seek(10 * CHUNK)
        with pytest.raises(ChunkError, match="Chunk 10 "):
            damaged.read(10)
        with pytest.raises(ChunkError, match="Chunk 10 "):
            damaged.read(10)


def test_a_rewrapped_file_opens_with_the_new_key_and_not_with_the_old():
    file, new = sealed(RANDOM_ACCESS), X25519Identity.generate()
    length = parse_header(file)[1]
    moved = rewrap(file[:length], [IDENTITY], [new.recipient]) + file[length:]
    assert opened(moved, new) == RANDOM_ACCESS
    with pytest.raises(WrongKeyError):
        opened(moved)
    with pytest.raises(ContextMismatchError):
        opened(moved, new, {**CONTEXT, "key": "elsewhere"})


def test_only_a_recipient_can_rewrap():
    file = sealed(b"x")
    with pytest.raises(WrongKeyError):
        rewrap(file[: parse_header(file)[1]], [X25519Identity.generate()], [IDENTITY.recipient])


@pytest.mark.parametrize("kind", [X25519Identity, XWingIdentity])
def test_keys_survive_being_written_down(kind):
    identity = kind.generate()
    again = parse_identities(f"# a comment\n\n{identity}\n")[0]
    assert str(again) == str(identity)
    assert again.recipient == parse_recipient(str(identity.recipient)) == identity.recipient


def test_a_private_key_does_not_show_in_its_representation():
    for identity in (IDENTITY, XWingIdentity.generate()):
        assert "SECRET" not in repr(identity)
    assert "horse" not in repr(PassphraseIdentity("horse"))


@pytest.mark.parametrize("position", [5, 20, -1])
def test_a_mistyped_key_is_refused_without_repeating_it(position):
    text = str(IDENTITY)
    wrong = list(text)
    wrong[position] = "Q" if wrong[position] != "Q" else "P"
    with pytest.raises(KeyTextError) as caught:
        parse_identity("".join(wrong))
    assert text[20:40] not in str(caught.value)


def test_a_private_key_is_no_recipient_and_the_reverse():
    with pytest.raises(KeyTextError):
        parse_recipient(str(IDENTITY))
    with pytest.raises(KeyTextError):
        parse_identity(str(IDENTITY.recipient))
