from __future__ import annotations

import gc
import struct
import sys
import tracemalloc
from typing import TYPE_CHECKING

import numpy as np
import pytest
from params_files import f32, list_file, names, npy, record, u32, u64

from bort_convert.errors import FormatError
from bort_convert.params import ParamsFile, TensorInfo, open_params

if TYPE_CHECKING:
    from pathlib import Path

    from bort_convert.dtypes import Array


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "x.params"
    path.write_bytes(list_file(record(f32(1, 2), (2,)), u32(0), record(f32(3, 4), (2, 1))))
    return path


def test_the_header_is_read_without_values(path: Path) -> None:
    with open_params(str(path)) as file:
        assert list(file.header.values()) == [
            TensorInfo("a", (2,), "float32", "dense", 56, 8),
            TensorInfo("b", (), None, "none", None, 0),
            TensorInfo("c", (2, 1), "float32", "dense", 108, 8),
        ]
        with pytest.raises(TypeError):
            file.header["d"] = file.header["a"]  # type: ignore[index]


def test_it_is_a_mapping_of_arrays(path: Path) -> None:
    with open_params(path) as file:
        assert list(file) == list(file.keys()) == ["a", "c"]
        assert len(file) == 2
        assert "a" in file
        assert "b" not in file
        assert "d" not in file
        assert 0 not in file
        assert file.get("d") is None
        assert [array.tolist() for array in file.values()] == [[1, 2], [[3], [4]]]
        assert repr(file) == f"<ParamsFile {str(path)!r}: list, 2 arrays>"
        for missing in ("b", "d"):
            with pytest.raises(KeyError, match=missing):
                file[missing]
        with pytest.raises(KeyError, match="d"):
            file.pieces("d")


def test_two_open_files_are_two_things(path: Path) -> None:
    with open_params(path) as file, open_params(path) as other:
        assert file == file  # noqa: PLR0124 - the test is about identity
        assert file != other
        assert len({file, other, file}) == 2


def test_a_dense_array_is_a_writeable_view_that_leaves_the_file_alone(path: Path) -> None:
    before = path.read_bytes()
    with open_params(path) as file:
        view = file["a"]
        assert not view.flags.owndata
        assert view.flags.writeable
        view[0] = 9
        assert file["a"].tolist() == [9, 2]
    assert path.read_bytes() == before


def test_asking_for_a_label_asks_for_no_values(tmp_path: Path) -> None:
    path = tmp_path / "x.params"
    path.write_bytes(list_file(record(b"\2", (1,), flag=7)))
    with open_params(path) as file:
        assert "a" in file


def test_views_outlive_the_file(path: Path) -> None:
    with open_params(path) as file:
        views = dict(file)
    del file
    gc.collect()
    assert {name: view.tolist() for name, view in views.items()} == {"a": [1, 2], "c": [[3], [4]]}


def test_a_closed_file_keeps_its_header_and_nothing_else(path: Path) -> None:
    file = open_params(path)
    view = file["a"]  # keeps the map alive, which must not keep the file open
    file.close()
    file.close()
    assert file.header["a"].shape == (2,)
    assert list(file) == ["a", "c"]
    for ask in (lambda: file["a"], lambda: file.pieces("a"), file.fileno):
        with pytest.raises(ValueError, match="closed"):
            ask()
    assert view.tolist() == [1, 2]


def test_a_refused_file_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "x.params"
    path.write_bytes(list_file(record(f32(1), (1,))) + b"!")
    with pytest.raises(FormatError):
        open_params(path)
    gc.collect()  # an open file would warn here, and warnings are errors
    path.unlink()


CLAIMS = {
    "arrays": u64(0x112, 0, 2**61) + bytes(40),
    "names": list_file(record(f32(1), (1,)), table=u64(2**60)),
    "a name": list_file(record(f32(1), (1,)), table=u64(1, 2**40)),
    "values": list_file(record(b"", (2**40,))),
    "a bare array": npy(b"", "(1099511627776,)"),
}


@pytest.mark.parametrize("case", CLAIMS)
def test_a_small_file_that_claims_terabytes_takes_no_memory(case: str, tmp_path: Path) -> None:
    path = tmp_path / "x.params"
    path.write_bytes(CLAIMS[case])
    tracemalloc.start()
    with pytest.raises(FormatError):
        open_params(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**20


@pytest.mark.skipif(sys.platform != "linux", reason="needs a file with holes")
def test_opening_a_large_file_reads_headers_only(tmp_path: Path) -> None:
    path = tmp_path / "x.params"
    size = 2**36
    with path.open("wb") as file:  # 64 GiB of zeros that take no room, between a header and a name
        file.write(u64(0x112, 0, 1) + record(b"", (size,), flag=3))
        file.seek(size, 1)
        file.write(names("w"))
    with open_params(path) as params:
        assert params.header["w"].nbytes == size
        assert params.size == path.stat().st_size
        last: Array = params["w"][-1:]
        assert last.tolist() == [0]


def test_a_thousand_arrays_keep_their_order(tmp_path: Path) -> None:
    path = tmp_path / "x.params"
    names_in_order = [f"encoder.{number}" for number in range(1000)]
    records = [record(struct.pack("<i", number), (1,), flag=4) for number in range(1000)]
    path.write_bytes(list_file(*records, table=names(*names_in_order)))
    with open_params(path) as file:
        assert isinstance(file, ParamsFile)
        assert list(file) == names_in_order
        np.testing.assert_array_equal(np.concatenate(list(file.values())), np.arange(1000))
