from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

import pytest

from bort_convert.errors import FormatError
from bort_convert.files import streams
from bort_convert.files.streams import FileRange, copy_range, read_pieces, same_bytes, write_all

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BYTES = bytes(range(256)) * 40


@pytest.fixture
def source(tmp_path: Path) -> Iterator[int]:
    path = tmp_path / "source"
    path.write_bytes(BYTES)
    with path.open("rb") as file:
        yield file.fileno()


@pytest.fixture(
    params=[(), ("copy_file_range",), ("copy_file_range", "sendfile"), ("copy_file_range", "sendfile", "preadv")]
)
def platform(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Take away more and more of the calls of Linux."""
    for call in request.param:
        monkeypatch.delattr(os, call, raising=False)


@pytest.mark.usefixtures("platform")
@pytest.mark.parametrize(("offset", "size"), [(0, len(BYTES)), (3, 5000), (7, 0), (len(BYTES), 0)])
def test_a_range_is_copied(
    source: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, offset: int, size: int
) -> None:
    monkeypatch.setattr(streams, "PIECE", 1000)
    expected = BYTES[offset : offset + size]
    chosen = FileRange(source, offset, size)
    with (tmp_path / "target").open("xb", buffering=0) as target:
        write_all(target.fileno(), b"front")
        copy_range(chosen, target.fileno())
        write_all(target.fileno(), b"back")
    assert (tmp_path / "target").read_bytes() == b"front" + expected + b"back"
    assert b"".join(map(bytes, read_pieces(chosen))) == expected


@pytest.mark.parametrize("changed", [None, 0, 255, 256, 2047, 2048, 2049])
def test_two_ranges_are_the_same_if_no_byte_differs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changed: int | None
) -> None:
    monkeypatch.setattr(streams, "PIECE", 256)  # all pieces are equal, so that bytes left in the buffer are, too
    other = bytearray(BYTES[:2050])
    if changed is not None:
        other[changed] ^= 1
    (tmp_path / "x").write_bytes(BYTES[:2050] + other)
    with (tmp_path / "x").open("rb") as file:
        one, two = (FileRange(file.fileno(), start, 2050) for start in (0, 2050))
        assert same_bytes(one, two) == same_bytes(two, one) == (changed is None)
        assert not same_bytes(one, FileRange(file.fileno(), 0, 2049))
        watched: list[int] = []
        same_bytes(one, two, watch=lambda: watched.append(1))
        assert len(watched) == (9 if changed is None else changed // 256 + 1)


@pytest.mark.usefixtures("platform")
def test_a_source_that_ends_early_is_an_error_that_says_where(source: int, tmp_path: Path) -> None:
    past = FileRange(source, len(BYTES) - 10, 15)
    with (tmp_path / "target").open("xb", buffering=0) as target, pytest.raises(FormatError) as caught:
        copy_range(past, target.fileno())
    assert str(caught.value).startswith(
        "the source ended at byte 10,240 while it was being read; expected 5 more bytes"
    )


def test_where_the_kernel_cannot_copy_bytes_are_read_and_written(
    source: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> int:
        raise OSError(errno.EXDEV, "another file system")

    for call in ("copy_file_range", "sendfile"):
        monkeypatch.setattr(os, call, refuse, raising=False)
    with (tmp_path / "target").open("xb", buffering=0) as target:
        copy_range(FileRange(source, 0, len(BYTES)), target.fileno())
    assert (tmp_path / "target").read_bytes() == BYTES


def test_a_copy_that_stops_half_way_is_finished_by_other_means(
    source: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = [100, 0]

    def stop(descriptor: int, target: int, size: int, offset: int) -> int:
        return os.write(target, os.pread(descriptor, min(size, left.pop(0)), offset))

    monkeypatch.setattr(os, "copy_file_range", stop, raising=False)
    with (tmp_path / "target").open("xb", buffering=0) as target:
        copy_range(FileRange(source, 0, len(BYTES)), target.fileno())
    assert (tmp_path / "target").read_bytes() == BYTES


def test_an_error_of_the_disk_is_not_tried_again(source: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise OSError(errno.ENOSPC, "no space left")

    monkeypatch.setattr(os, "copy_file_range", refuse, raising=False)
    with (tmp_path / "target").open("xb", buffering=0) as target, pytest.raises(OSError, match="no space left"):
        copy_range(FileRange(source, 0, 10), target.fileno())


def test_a_source_that_cannot_be_read_is_a_format_error(tmp_path: Path) -> None:
    descriptor = os.open(tmp_path, os.O_RDONLY)
    try:
        with pytest.raises(FormatError, match="the source cannot be read at byte 7: Is a directory"):
            next(read_pieces(FileRange(descriptor, 7, 1)))
    finally:
        os.close(descriptor)
