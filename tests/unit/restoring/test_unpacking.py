"""Unpacking a backup's tar: everything that a backup holds, and nothing that could write elsewhere."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from strongroom.backup.restoring.unpacking import unpack_tar
from strongroom.backup.verification import BrokenArchiveError, UnsafeArchiveError

FORMAT = tarfile.USTAR_FORMAT


def _tar(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=FORMAT) as archive:
        for member, content in members:
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def _file(name: str, content: bytes = b"x") -> tuple[tarfile.TarInfo, bytes]:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    return member, content


def _special(name: str, kind: bytes, target: str = "") -> tuple[tarfile.TarInfo, bytes]:
    member = tarfile.TarInfo(name)
    member.type = kind
    member.linkname = target
    return member, b""


def _pieces(data: bytes, length: int) -> Iterator[memoryview]:
    """The data in one buffer that is used again and again, as the opening pipeline gives it."""
    buffer = bytearray(length)
    for start in range(0, len(data), length):
        piece = data[start : start + length]
        buffer[: len(piece)] = piece
        yield memoryview(buffer)[: len(piece)]


@pytest.mark.parametrize("length", [1, 511, 512, 4096, 1 << 20])
def test_every_member_is_written_however_the_stream_is_cut(tmp_path: Path, length: int) -> None:
    big = bytes(range(256)) * 40
    data = _tar(
        _special("base", tarfile.DIRTYPE),
        _file("base/one", big),
        _file("empty", b""),
        _file("global_pg_control", b"c" * 512),
    )
    unpacked = unpack_tar(_pieces(data, length), tmp_path, None)
    assert (unpacked.files, unpacked.file_bytes, unpacked.stream_bytes) == (3, len(big) + 512, len(data))
    assert (tmp_path / "base/one").read_bytes() == big
    assert (tmp_path / "empty").read_bytes() == b""
    assert (tmp_path / "base/one").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "member",
    [
        _file("/etc/passwd"),
        _file("../outside"),
        _file("base/../../outside"),
        _special("..", tarfile.DIRTYPE),
        _special("link", tarfile.SYMTYPE, "/etc"),
        _special("link", tarfile.SYMTYPE, "inside"),
        _special("hard", tarfile.LNKTYPE, "/etc/passwd"),
        _special("device", tarfile.CHRTYPE),
        _special("disk", tarfile.BLKTYPE),
        _special("pipe", tarfile.FIFOTYPE),
        _file("missing/directory"),
        _file("back\\slash"),
    ],
    ids=lambda member: f"{member[0].name}-{member[0].type!r}",
)
def test_a_member_that_could_write_elsewhere_is_refused(
    tmp_path: Path, member: tuple[tarfile.TarInfo, bytes]
) -> None:
    target = tmp_path / "target"
    target.mkdir()
    with pytest.raises(UnsafeArchiveError, match="archive"):
        unpack_tar([_tar(member)], target, None)
    assert list(target.iterdir()) == []
    assert [path.name for path in tmp_path.iterdir()] == ["target"]


def test_a_name_that_comes_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnsafeArchiveError, match="twice"):
        unpack_tar([_tar(_file("a"), _file("a"))], tmp_path, None)


def test_a_file_is_not_written_through_a_link_that_lies_there(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/a").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UnsafeArchiveError):
        unpack_tar([_tar(_file("a"))], tmp_path / "out", None)
    assert not (tmp_path / "elsewhere").exists()


def test_an_archive_that_ends_early_is_refused(tmp_path: Path) -> None:
    data = _tar(_file("a", b"x" * 2000))
    with pytest.raises(BrokenArchiveError, match="ends early"):
        unpack_tar([data[:1500]], tmp_path, None)


def test_a_damaged_header_is_refused(tmp_path: Path) -> None:
    data = bytearray(_tar(_file("a")))
    data[3] ^= 1
    with pytest.raises(BrokenArchiveError, match="damaged"):
        unpack_tar([bytes(data)], tmp_path, None)


def test_data_after_the_end_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BrokenArchiveError, match="after its end"):
        unpack_tar([_tar(_file("a")), b"more"], tmp_path, None)


def test_the_stream_is_read_to_its_end_so_that_late_errors_are_raised(tmp_path: Path) -> None:
    def stream() -> Iterator[bytes]:
        yield _tar(_file("a"))
        raise BrokenArchiveError("the seal of the last piece does not hold")

    with pytest.raises(BrokenArchiveError, match="seal"):
        unpack_tar(stream(), tmp_path, None)
