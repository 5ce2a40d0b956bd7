"""The restore command's exit codes, which PostgreSQL believes: 0 a whole segment, 1 a confirmed end, 255 the rest."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from strongroom.backup.restoring.spool import Spool
from strongroom.postgres.processes import ProcessIdentity

NAME = "000000010000000000000007"


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    made = Spool(tmp_path / "a place with 'quotes' and %f" / "spool", None)
    made.make()
    return made


@pytest.fixture
def data(tmp_path: Path) -> Path:
    (tmp_path / "data" / "pg_wal").mkdir(parents=True)
    return tmp_path / "data"


def asked(spool: Spool, data: Path, name: str = NAME) -> int:
    """Run the restore command as the server does: with its placeholders filled in, in the data directory."""
    command = _filled(spool.restore_command, name)
    return subprocess.run(["/bin/sh", "-c", command], cwd=data, timeout=20, check=False).returncode


def _filled(command: str, name: str) -> str:
    """As src/common/percentrepl.c fills in a command."""
    out, letters = [], iter(command)
    for letter in letters:
        if letter != "%":
            out.append(letter)
            continue
        out.append({"f": name, "p": "pg_wal/RECOVERYXLOG", "%": "%"}[next(letters)])
    return "".join(out)


def test_a_segment_of_the_backup_itself_is_given_again_and_again(spool: Spool, data: Path) -> None:
    (spool.own / NAME).write_bytes(b"own")
    for _ in range(2):
        assert asked(spool, data) == 0
        assert (data / "pg_wal" / "RECOVERYXLOG").read_bytes() == b"own"
    assert spool.asked() == [NAME]


def test_a_fetched_segment_is_handed_over(spool: Spool, data: Path) -> None:
    spool.coming(NAME).write_bytes(b"fetched")
    spool.give(NAME)
    assert asked(spool, data) == 0
    assert (data / "pg_wal" / "RECOVERYXLOG").read_bytes() == b"fetched"
    assert spool.ready() == set()


def test_only_a_confirmed_end_is_an_end(spool: Spool, data: Path) -> None:
    spool.confirm_absent(NAME)
    assert asked(spool, data) == 1


def test_a_restore_that_gave_up_stops_the_server(spool: Spool, data: Path) -> None:
    spool.give_up()
    assert asked(spool, data) == 255


def test_a_restore_whose_process_is_gone_stops_the_server(
    spool: Spool, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = ProcessIdentity.own()
    for other in (ProcessIdentity(own.pid, own.start_ticks + 1), ProcessIdentity(4194305, own.start_ticks)):
        monkeypatch.setattr(ProcessIdentity, "own", classmethod(lambda cls, other=other: other))
        spool.make()
        assert asked(spool, data) == 255


def test_a_spool_that_is_gone_stops_the_server(spool: Spool, data: Path) -> None:
    command = spool.directory / "fetch-wal.sh"
    text = command.read_text().replace("/spool", "/elsewhere")
    command.write_text(text)
    assert asked(spool, data) == 255


def test_a_segment_that_cannot_be_written_stops_the_server(spool: Spool, data: Path) -> None:
    (spool.own / NAME).write_bytes(b"own")
    (data / "pg_wal" / "RECOVERYXLOG").mkdir()
    (data / "pg_wal" / "RECOVERYXLOG" / NAME).mkdir()
    assert asked(spool, data) == 255
