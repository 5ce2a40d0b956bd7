"""The pipeline of threads: same bytes, bounded memory, one error, no thread left behind."""

import hashlib
import io
import os
import subprocess
import sys
import threading
import time

import pytest
import zstandard

from strongroom.errors import InputError
from strongroom.sealing import (
    UNCHECKED,
    DecompressionError,
    OpeningPipeline,
    SealingPipeline,
    TruncatedError,
    WrongKeyError,
    X25519Identity,
    seal,
)

IDENTITY = X25519Identity.generate()
CONTEXT = {"key": "a"}
TEXT = b"".join(b"%d\tcustomer %d\t%d@example.org\n" % (n, n * 7919 % 100003, n * 31) for n in range(90_000))


@pytest.fixture(autouse=True)
def no_thread_is_left():
    before = threading.active_count()
    yield
    assert threading.active_count() == before


def pipeline(source, level=1):
    return SealingPipeline(source, [IDENTITY.recipient], context=CONTEXT, compression_level=level)


def collect(pieces):
    return b"".join(bytes(piece) for piece in pieces)


def opening(data, *, decompress=True, identity=IDENTITY):
    return OpeningPipeline(io.BytesIO(data), [identity], context=CONTEXT, decompress=decompress)


@pytest.mark.parametrize("level", [None, 1, 3])
@pytest.mark.parametrize("size", [0, 1, 1 << 20, len(TEXT)])
@pytest.mark.parametrize("kind", ["pieces", "file", "descriptor"])
def test_what_goes_in_comes_out(level, size, kind, tmp_path):
    data = TEXT[:size]
    path = tmp_path / "source"
    path.write_bytes(data)
    with path.open("rb", buffering=0) as file:
        source = {"pieces": [data[:1000], data[1000:]], "file": file, "descriptor": file.fileno()}[kind]
        sealing = pipeline(source, level)
        result = collect(sealing)
    report = sealing.report
    assert report.plaintext_bytes == size
    assert report.ciphertext_bytes == len(result)
    assert report.ciphertext_sha256 == hashlib.sha256(result).hexdigest()
    assert (report.compressed_bytes == size) == (level is None)
    assert collect(opening(result, decompress=level is not None)) == data


def test_a_pipe_is_read_to_its_end():
    with subprocess.Popen(
        [sys.executable, "-c", "print('row\\n' * 3000000)"], stdout=subprocess.PIPE
    ) as process:
        result = collect(pipeline(process.stdout.fileno()))
    assert collect(opening(result)) == b"row\n" * 3000000 + b"\n"


def test_there_is_no_report_before_the_end():
    sealing = pipeline([TEXT])
    with pytest.raises(InputError, match="no report"):
        _ = sealing.report
    collect(sealing)
    with pytest.raises(InputError, match="once"):
        iter(sealing)


def test_an_error_of_the_source_is_what_the_consumer_gets():
    def source():
        yield TEXT
        raise OSError("the server went away")

    with pytest.raises(OSError, match="the server went away"):
        collect(pipeline(source()))


def feeding(write_end, mebibytes):
    """A thread that writes that much noise and then falls silent, the pipe still open."""

    def feed():
        try:
            for _ in range(mebibytes * 16):
                os.write(write_end, os.urandom(1 << 16))
        except BrokenPipeError:
            return

    thread = threading.Thread(target=feed)
    thread.start()
    return thread


@pytest.mark.parametrize(
    ("mebibytes", "taken"), [(8, 1), (400, 2)], ids=["a silent source", "a source that keeps on"]
)
@pytest.mark.parametrize("level", [None, 1])
def test_a_consumer_that_leaves_early_stops_every_stage(mebibytes, taken, level):
    read_end, write_end = os.pipe()
    feeder = feeding(write_end, mebibytes)
    pieces = iter(pipeline(read_end, level))
    for _ in range(taken):
        next(pieces)
    time.sleep(0.1)
    pieces.close()
    os.close(read_end)
    feeder.join()
    os.close(write_end)


def test_a_wrong_key_and_a_cut_file_stop_the_opening():
    data = collect(pipeline([TEXT]))
    with pytest.raises(WrongKeyError):
        collect(opening(data, identity=X25519Identity.generate()))
    with pytest.raises(TruncatedError):
        collect(opening(data[:-100]))
    with pytest.raises(TruncatedError):
        collect(opening(data[:100]))


def test_leaving_an_opening_early_leaves_no_thread():
    pieces = iter(opening(collect(pipeline([TEXT * 4]))))
    next(pieces)
    pieces.close()


def resealed(data):
    return collect(seal([data], [IDENTITY.recipient], context=CONTEXT))


def test_sealed_data_that_is_not_zstandard_is_refused():
    with pytest.raises(DecompressionError, match="not Zstandard"):
        collect(opening(resealed(TEXT)))


@pytest.mark.parametrize("cut", [1, 2, 3, 1000])
def test_a_frame_that_was_cut_before_it_was_sealed_is_refused(cut):
    frame = zstandard.compress(TEXT, 1)
    with pytest.raises(DecompressionError, match="ends inside"):
        collect(opening(resealed(frame[:-cut])))


def test_several_frames_of_every_kind_open_as_one_stream():
    checked = zstandard.ZstdCompressor(write_checksum=True).compress(TEXT[:5000])
    streamed = zstandard.ZstdCompressor(threads=2).compressobj()
    open_ended = streamed.compress(TEXT) + streamed.flush()
    skippable = b"\x52\x2a\x4d\x18" + (300).to_bytes(4, "little") + bytes(300)
    empty_skippable = b"\x50\x2a\x4d\x18" + bytes(4)
    run = zstandard.compress(bytes(1 << 20))
    frames = [checked, skippable, open_ended, empty_skippable, run, zstandard.compress(b"")]
    assert collect(opening(resealed(b"".join(frames)))) == TEXT[:5000] + TEXT + bytes(1 << 20)


def test_data_that_grows_enormously_is_not_held_in_memory():
    bomb = SealingPipeline(
        (bytes(1 << 20) for _ in range(512)), [IDENTITY.recipient], context=CONTEXT, compression_level=1
    )
    data = collect(bomb)
    assert len(data) < 1 << 20
    assert sum(len(piece) for piece in opening(data)) == 512 << 20


_MEASURE = """
import sys
from strongroom.sealing import SealingPipeline, X25519Identity
import os
noise = os.urandom(1 << 20)
def source():
    for _ in range(int(sys.argv[1])):
        yield noise
pipe = SealingPipeline(source(), [X25519Identity.generate().recipient], context=None, compression_level=1)
for _ in pipe: pass
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


def test_memory_does_not_grow_with_the_data():
    def peak_kib(mebibytes):
        command = [sys.executable, "-c", _MEASURE, str(mebibytes)]
        return int(subprocess.run(command, capture_output=True, check=True, text=True).stdout)

    small, large = peak_kib(64), peak_kib(768)
    assert large < 200 * 1024
    assert large < small + 24 * 1024


def test_an_opening_without_a_context_check_says_so():
    data = collect(pipeline([b"x"]))
    pieces = OpeningPipeline(io.BytesIO(data), [IDENTITY], context=UNCHECKED, decompress=True)
    assert collect(pieces) == b"x"
