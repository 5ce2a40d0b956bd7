"""How fast we seal and open, beside the `age` command; and the whole pipeline beside `zstd | age`."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from strongroom.sealing import UNCHECKED, SealingPipeline, X25519Identity, seal, unseal
from tests.benchmarks.rows import Row, rate_row, table, time_row

GIB = 1 << 30
ROUNDS = 3


def measure() -> list[Row]:
    """The rows of this part; empty where the `age` or `zstd` command is missing."""
    if not (shutil.which("age") and shutil.which("zstd")):
        return []
    with tempfile.TemporaryDirectory(dir=_memory_directory()) as directory:
        identity = X25519Identity.generate()
        key = Path(directory) / "key"
        key.write_text(f"{identity}\n")
        rows = _in_memory(Path(directory), identity, key)
        return [*rows, _pipeline(Path(directory), identity)]


def _in_memory(directory: Path, identity: X25519Identity, key: Path) -> list[Row]:
    plain, sealed = directory / "plain", directory / "plain.age"
    data = bytearray(os.urandom(1 << 20)) * 1024
    plain.write_bytes(data)
    recipient = identity.recipient
    ours, peer = _best(
        lambda: _drain(seal([data], [recipient], context={"format": "bench"})),
        lambda: _run(f"age -r {recipient} < {plain} > /dev/null"),
    )
    rows = [rate_row("seal 1 GiB in memory / age", 1 / ours, 1 / peer, "GiB/s", 3.0)]
    plain.unlink()
    with sealed.open("wb") as file:
        for piece in seal([data], [recipient], context=None):
            file.write(piece)
    data = bytearray()
    ours, peer = _best(
        lambda: _open_file(sealed, identity),
        lambda: _run(f"age -d -i {key} < {sealed} > /dev/null"),
    )
    rows.append(rate_row("open 1 GiB in memory / age -d", 1 / ours, 1 / peer, "GiB/s", 1.5))
    sealed.unlink()
    return rows


def _pipeline(directory: Path, identity: X25519Identity) -> Row:
    plain = directory / "rows"
    with plain.open("wb") as file:
        for number in range(64):
            file.write(_rows_like_text(number))
    recipient = identity.recipient
    ours, peer = _best(
        lambda: _seal_pipe(plain, identity),
        lambda: _run(f"cat {plain} | zstd -q -1 -T2 | age -r {recipient} > /dev/null"),
    )
    size_mib = plain.stat().st_size >> 20
    return time_row(f"seal a pipe of {size_mib} MiB / zstd -1 -T2 | age", ours, peer, "s", 0.8)


def _seal_pipe(plain: Path, identity: X25519Identity) -> None:
    with subprocess.Popen(["cat", str(plain)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        _drain(
            SealingPipeline(process.stdout.fileno(), [identity.recipient], context=None, compression_level=1)
        )


def _open_file(path: Path, identity: X25519Identity) -> None:
    with path.open("rb", buffering=0) as file:
        _drain(unseal(file, [identity], context=UNCHECKED))


def _rows_like_text(number: int) -> bytes:
    """16 MiB that compress about as well as a table of people."""
    noise = os.urandom(16 << 10).hex()
    lines = io.StringIO()
    line = 0
    while lines.tell() < 16 << 20:
        at = line * 61 % 32000
        lines.write(
            f"{number * 1000000 + line}\tcustomer {noise[at : at + 9]}\t{noise[at : at + 6]}@example.org\t"
        )
        lines.write(
            f"2024-{line % 12 + 1:02}-{line % 28 + 1:02} {line % 24:02}:{line % 60:02}:11.{at:05}+00\n"
        )
        line += 1
    return lines.getvalue().encode()


def _best(ours: Callable[[], None], peer: Callable[[], None]) -> tuple[float, float]:
    """The best of some rounds, alternating so that both meet the same machine."""
    times = [(_timed(ours), _timed(peer)) for _ in range(ROUNDS)]
    return min(mine for mine, _ in times), min(theirs for _, theirs in times)


def _timed(work: Callable[[], None]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _drain(pieces: Iterable[object]) -> None:
    for _ in pieces:
        pass


def _run(command: str) -> None:
    subprocess.run(["bash", "-o", "pipefail", "-c", command], check=True)


def _memory_directory() -> str | None:
    shm = Path("/dev/shm")
    return str(shm) if shm.is_dir() and shutil.disk_usage(shm).free > 4 * GIB else None


if __name__ == "__main__":
    print(table(measure()))
