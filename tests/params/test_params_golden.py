from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

import numpy as np
import pytest
from params_files import GOLDEN

from bort_convert.errors import FormatError
from bort_convert.params import open_params

if TYPE_CHECKING:
    from pathlib import Path

    from bort_convert.dtypes import Array


def read(path: Path, data: bytes) -> dict[str, Array]:
    path.write_bytes(data)
    with open_params(path) as file:
        return dict(file)


@pytest.mark.parametrize("kind", GOLDEN)
def test_a_file_written_out_by_hand_reads_as_its_bytes_say(kind: str, tmp_path: Path) -> None:
    data, expected = GOLDEN[kind]
    found = read(tmp_path / "x.params", data)
    assert list(found) == list(expected)
    for name, array in expected.items():
        assert found[name].dtype == array.dtype
        assert found[name].shape == array.shape
        assert found[name].tobytes() == array.tobytes()


@pytest.mark.parametrize("kind", GOLDEN)
def test_a_file_cut_at_any_byte_is_refused(kind: str, tmp_path: Path) -> None:
    data, _ = GOLDEN[kind]
    for length in range(len(data)):
        with pytest.raises(FormatError):
            read(tmp_path / "x.params", data[:length])


@pytest.mark.parametrize("kind", GOLDEN)
def test_a_file_with_any_byte_changed_is_refused_or_reads(kind: str, tmp_path: Path) -> None:
    data, _ = GOLDEN[kind]
    refused = 0
    for at, change in product(range(len(data)), (0x01, 0x80, 0xFF, 0x5C)):
        damaged = bytearray(data)
        damaged[at] ^= change
        try:
            read(tmp_path / "x.params", bytes(damaged))
        except FormatError:
            refused += 1
    assert refused > len(data)


@pytest.mark.parametrize("kind", GOLDEN)
def test_the_header_has_the_offset_of_dense_values(kind: str, tmp_path: Path) -> None:
    data, expected = GOLDEN[kind]
    path = tmp_path / "x.params"
    path.write_bytes(data)
    with open_params(path) as file:
        for name, array in expected.items():
            info = file.header[name]
            assert (info.name, info.shape, info.dtype) == (name, array.shape, array.dtype.name)
            if info.storage == "dense":
                assert info.offset is not None
                assert data[info.offset :][: info.nbytes] == array.tobytes()
                assert info.nbytes == array.nbytes


def test_arrays_without_a_value_are_in_the_header_only(tmp_path: Path) -> None:
    for kind, none in (("v0", "n"), ("v1", "0")):
        path = tmp_path / kind
        path.write_bytes(GOLDEN[kind][0])
        with open_params(path) as file:
            info = file.header[none]
            assert (info.shape, info.dtype, info.storage, info.offset, info.nbytes) == ((), None, "none", None, 0)
            assert none not in file
            assert len(file) == 1
            assert file.pieces(none) == {}
            with pytest.raises(KeyError):
                file[none]


def test_pieces_are_the_stored_arrays(tmp_path: Path) -> None:
    expected = {
        "csr": ("c", {"data": np.array([1, -2], "<f2"), "indptr": [0, 2, 2], "indices": [2, 0]}),
        "row_sparse": ("r", {"data": np.array([[5, -6]], "<i4"), "indices": [1]}),
        "v3": ("s", {"data": np.array(-2, "<i8")}),
    }
    for kind, (name, stored) in expected.items():
        path = tmp_path / kind
        path.write_bytes(GOLDEN[kind][0])
        with open_params(path) as file:
            found = file.pieces(name)
            assert found.keys() == stored.keys()
            for role, array in stored.items():
                np.testing.assert_array_equal(found[role], array)


def test_a_file_has_its_kind_and_its_names(tmp_path: Path) -> None:
    expected = {"v1": ("list", False), "v2": ("list", True), "npy": ("npy", False), "zip": ("zip", True)}
    for kind, properties in expected.items():
        path = tmp_path / kind
        path.write_bytes(GOLDEN[kind][0])
        with open_params(path) as file:
            assert (file.kind, file.named, file.note) == (*properties, "")
            assert (file.path, file.size) == (path, len(GOLDEN[kind][0]))
