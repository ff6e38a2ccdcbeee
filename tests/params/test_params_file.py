from __future__ import annotations

import mmap
import os
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest

from bort_convert.errors import FormatError
from bort_convert.params import file, open_params, save_params
from bort_convert.params.file import FileBytes

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BYTES = bytes(range(256)) * 64


@pytest.fixture
def data(tmp_path: Path) -> Iterator[FileBytes]:
    (tmp_path / "x").write_bytes(BYTES)
    with (tmp_path / "x").open("rb") as file:
        content = FileBytes(file.fileno(), len(BYTES), "x", mapped=True)
        yield content
        content.close()


@pytest.mark.parametrize("lacking", [(), ("preadv", "posix_fadvise")])
def test_any_stretch_is_read_whatever_was_read_before(
    data: FileBytes, monkeypatch: pytest.MonkeyPatch, lacking: tuple[str, ...]
) -> None:
    for call in lacking:
        monkeypatch.delattr(os, call, raising=False)
    assert len(data) == len(BYTES)
    for start, stop in [(0, 4), (4, 8), (4090, 4100), (0, 9000), (8999, 9001), (2, 2), (16000, 20000), (20000, 20001)]:
        assert data[start:stop] == BYTES[start:stop]
    data.headers_read()
    for data.mapped in (True, False):
        assert bytes(data.view(3, 9000)) == BYTES[3:9003]
        assert bytes(data.view(3, 0)) == b""


def test_a_file_that_became_shorter_is_a_format_error(data: FileBytes, tmp_path: Path) -> None:
    os.truncate(tmp_path / "x", 10)
    assert data[0:10] == BYTES[:10]
    with pytest.raises(FormatError) as caught:
        data[8:12]
    assert str(caught.value) == (
        "x: the file ended at byte 10 while it was read; it had 16,384 bytes when it was opened. "
        "Is something writing to it?"
    )


def test_a_walk_over_the_headers_maps_nothing_and_reads_little(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_params(tmp_path / "x.params", {f"w{number}": np.zeros((512, 512), np.float32) for number in range(8)})
    read: list[int] = []
    real = os.preadv

    def counted(descriptor: int, buffers: list[memoryview], offset: int) -> int:
        read.append(len(buffers[0]))
        return real(descriptor, buffers, offset)

    def refuse(_: int) -> None:
        raise AssertionError("mapped")

    monkeypatch.setattr(os, "preadv", counted)
    monkeypatch.setattr(file, "_map", refuse)
    with open_params(tmp_path / "x.params") as params:
        assert len(params.header) == 8
    assert sum(read) <= 10 * file.BLOCK


def test_a_file_that_is_not_mapped_and_became_shorter_is_a_format_error(tmp_path: Path) -> None:
    save_params(tmp_path / "x.params", {"w": np.zeros(5000, np.float32)})
    with open_params(tmp_path / "x.params", mapped=False) as params:
        kept = params["w"]
        kept += 1
        assert params["w"].sum() == 0
        os.truncate(tmp_path / "x.params", 9000)
        with pytest.raises(FormatError) as caught:
            params["w"]
    assert str(caught.value) == (
        f"{tmp_path / 'x.params'}: the file ended at byte 9,000 while it was read; it had {params.size:,} bytes when "
        "it was opened. Is something writing to it?"
    )
    assert kept.sum() == 5000


@pytest.mark.skipif(not hasattr(os, "preadv"), reason="needs preadv")
def test_a_block_is_read_once_and_no_byte_twice(data: FileBytes, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[tuple[int, int]] = []
    real = os.preadv

    def noted(descriptor: int, buffers: list[memoryview], offset: int) -> int:
        read.append((offset, len(buffers[0])))
        return real(descriptor, buffers, offset)

    monkeypatch.setattr(os, "preadv", noted)
    for start, stop in ((4, 4100), (4, 8), (4000, 4100), (4100, 4104), (5000, 11000), (11000, 11001), (16000, 16384)):
        assert data[start:stop] == BYTES[start:stop]
    assert read == [(4, 4096), (4100, 4096), (5000, 6000), (11000, 4096), (16000, 384)]


@pytest.mark.parametrize("fault", [None, OSError(22, "Invalid argument")])
def test_the_system_is_told_that_headers_are_read_here_and_there_and_then_whole_arrays(
    fault: OSError | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[int, int, str]] = []

    def advise(_: int, start: int, count: int, advice: str) -> None:
        told.append((start, count, advice))
        if fault:
            raise fault

    save_params(tmp_path / "x.params", {"w": np.zeros(3)})
    monkeypatch.setattr(os, "posix_fadvise", advise, raising=False)
    for advice in ("RANDOM", "NORMAL"):
        monkeypatch.setattr(os, f"POSIX_FADV_{advice}", advice, raising=False)
    with open_params(tmp_path / "x.params"):
        assert told == [(0, 0, "RANDOM"), (0, 0, "NORMAL")]


def test_a_file_larger_than_the_memory_for_copies_is_mapped_for_reading(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = mmap.mmap

    def limited(descriptor: int, length: int, *, access: int) -> mmap.mmap:
        if access == mmap.ACCESS_COPY:
            raise OSError(12, "Cannot allocate memory")
        return real(descriptor, length, access=access)

    save_params(tmp_path / "x.params", {"w": np.arange(5000)})
    monkeypatch.setattr(mmap, "mmap", limited)
    with open_params(tmp_path / "x.params") as params:
        assert not params["w"].flags.writeable
        assert np.shares_memory(params["w"], params["w"])
        np.testing.assert_array_equal(params["w"], np.arange(5000))


@pytest.mark.parametrize(
    "fault",
    [ImportError("no mmap"), PermissionError(13, "Permission denied"), ValueError("cannot mmap an empty file"), None],
)
def test_where_a_file_cannot_be_mapped_its_arrays_are_read(
    fault: Exception | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: int) -> None:
        assert fault is not None
        raise fault

    values = np.arange(5000, dtype=np.float32)
    save_params(tmp_path / "x.params", {"w": values})
    if fault is None:
        monkeypatch.setitem(sys.modules, "mmap", None)
    else:
        monkeypatch.setattr(file, "_map", refuse)
    with open_params(tmp_path / "x.params") as params:
        array = params["w"]
        assert array.flags.writeable
        array[0] = 1
        np.testing.assert_array_equal(params["w"], values)
