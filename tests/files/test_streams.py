from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

import numpy as np
import pytest

from bort_convert.dtypes import ITEMSIZES, TensorSpec, numpy_dtype
from bort_convert.errors import FormatError
from bort_convert.files import streams
from bort_convert.files.streams import (
    BitDifference,
    FileRange,
    bit_difference,
    copy_range,
    read_pieces,
    same_bytes,
    write_all,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from bort_convert.dtypes import Array

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


BITS = [0x3F800000, 0x80000000, 0x7FC00000, 0xFF800001, 1, 0]  # 1, -0, two NaN, a subnormal number, 0


def differences(tmp_path: Path, one: Array, other: Array, spec: TensorSpec) -> list[BitDifference | None]:
    """Compare two arrays, two ranges, and one of each."""
    (tmp_path / "x").write_bytes(b"front" + one.tobytes() + other.tobytes())
    with (tmp_path / "x").open("rb") as file:
        ranges = [FileRange(file.fileno(), 5 + start, one.nbytes) for start in (0, one.nbytes)]
        pairs = [(one, other), (ranges[0], ranges[1]), (one, ranges[1]), (ranges[0], other)]
        return [bit_difference(*pair, spec) for pair in pairs]


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16", "int64", "bool"])
def test_equal_tensors_have_no_bit_difference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dtype: str) -> None:
    monkeypatch.setattr(streams, "PIECE", 8)
    values = np.array(BITS, np.uint32).view(np.uint8 if dtype == "bool" else f"u{ITEMSIZES[dtype]}")
    array = values.view(numpy_dtype(dtype))
    assert differences(tmp_path, array, array.copy(), TensorSpec("t", dtype, array.shape)) == [None] * 4


@pytest.mark.parametrize(("changed", "first"), [([0], (0, 0)), ([5], (2, 1)), ([1, 4], (0, 1)), (range(6), (0, 0))])
def test_a_bit_difference_has_the_number_and_the_first_index_of_the_values_that_differ(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changed: Sequence[int], first: tuple[int, int]
) -> None:
    monkeypatch.setattr(streams, "PIECE", 8)
    one = np.array(BITS, np.uint32)
    other = one.copy()
    other[[*changed]] ^= 0x80000000  # NaN differs from -NaN and 0 from -0, though not as numbers
    arrays = [bits.view(np.float32).reshape(3, 2) for bits in (one, other)]
    spec = TensorSpec("t", "float32", (3, 2))
    assert differences(tmp_path, arrays[0], arrays[1], spec) == [BitDifference(len(changed), 6, first)] * 4


def test_an_exception_of_the_watch_ends_a_comparison(source: int) -> None:
    def watch() -> None:
        raise KeyError

    half = len(BYTES) // 2
    ranges = [FileRange(source, start, half) for start in (0, half)]
    with pytest.raises(KeyError):
        bit_difference(ranges[0], ranges[1], TensorSpec("t", "uint8", (half,)), watch=watch)
