from __future__ import annotations

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
        content = FileBytes(file.fileno(), len(BYTES), "x")
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
        with pytest.raises(FormatError, match="the file ended at byte 9,000 while it was read; it had 20,0"):
            params["w"]
    assert kept.sum() == 5000


@pytest.mark.parametrize("fault", [ImportError("no mmap"), PermissionError(13, "Permission denied"), None])
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
