from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from bad_files import NPY
from params_files import Zipped, archive, f32, npy

from bort_convert.errors import FormatError
from bort_convert.params import open_params

if TYPE_CHECKING:
    from pathlib import Path

NPY_CASES = {case: bad for cases in NPY.values() for case, bad in cases.items()}
BF16 = "[('bfloat16', '<u2')]"
DESCRS = {
    "'<f4'": "float32",
    "'<f8'": "float64",
    "'<f2'": "float16",
    "'|u1'": "uint8",
    "'<i4'": "int32",
    "'|i1'": "int8",
    "'<i8'": "int64",
    "'|b1'": "bool",
    "'<i2'": "int16",
    "'<u2'": "uint16",
    "'<u4'": "uint32",
    "'<u8'": "uint64",
    "'<b2'": "bfloat16",
    BF16: "bfloat16",
}


@pytest.mark.parametrize("descr", DESCRS)
def test_every_type_reads(descr: str, tmp_path: Path) -> None:
    dtype = DESCRS[descr]
    size = 2 if dtype == "bfloat16" else np.dtype(dtype).itemsize
    payload = bytes([1]) * size * 6
    path = tmp_path / "x.params"
    path.write_bytes(npy(payload, "(3, 2)", descr))
    with open_params(path) as file:
        assert (file.kind, file.named, list(file)) == ("npy", False, ["0"])
        assert file.header["0"].dtype == file["0"].dtype.name == dtype
        assert file["0"].shape == (3, 2)
        assert file["0"].tobytes() == payload


@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
@pytest.mark.parametrize(
    "text",
    [
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2L, 1L), }          \n",
        "{'shape':(2,1),'descr':'<f4','fortran_order':False}",
        " { 'fortran_order' : False , 'shape' : ( 2 , 1 , ) , 'descr' : '<f4' , } \n",
        "{'shape':(2,1),'descr':'<f4','fortran_order':False}".ljust(4096),
    ],
)
def test_a_header_reads_however_it_is_formatted(text: str, version: tuple[int, int], tmp_path: Path) -> None:
    path = tmp_path / "x.params"
    path.write_bytes(npy(f32(1, 2), version=version, text=text))
    with open_params(path) as file:
        assert file["0"].tolist() == [[1], [2]]


@pytest.mark.parametrize("fortran", [True, False])
@pytest.mark.parametrize("shape", [(), (3,), (2, 3), (2, 0), (4, 1, 2)])
def test_what_numpy_writes_reads(shape: tuple[int, ...], fortran: bool, tmp_path: Path) -> None:  # noqa: FBT001
    array = np.arange(np.prod(shape), dtype="<f8").reshape(shape, order="F" if fortran else "C")
    with (tmp_path / "x.params").open("wb") as target:
        np.save(target, array)
    with open_params(tmp_path / "x.params") as file:
        np.testing.assert_array_equal(file["0"], array)
        in_place = not (array.flags.f_contiguous and not array.flags.c_contiguous)
        assert (file.header["0"].offset == 128) == in_place


def test_one_axis_runs_alike_in_either_order(tmp_path: Path) -> None:
    path = tmp_path / "x.params"
    path.write_bytes(npy(f32(1, 2), fortran="True"))
    with open_params(path) as file:
        assert (file["0"].tolist(), file.header["0"].offset) == ([1, 2], path.stat().st_size - 8)
        assert (file.header["0"].storage, file.note) == ("dense", "")


def test_trailing_bytes_are_ignored_on_request(tmp_path: Path) -> None:
    path = tmp_path / "x.params"
    path.write_bytes(npy(f32(1, 2, 3)))
    with pytest.raises(FormatError) as caught:
        open_params(path)
    assert str(caught.value) == (
        f"{path}: 12 bytes behind the .npy header; expected 8 for (2,) float32. "
        "`allow_trailing=True` ignores bytes behind a bare .npy"
    )
    with open_params(path, allow_trailing=True) as file:
        assert file["0"].tolist() == [1, 2]
        assert file.note == "4 bytes behind the end ignored"


@pytest.mark.parametrize("case", NPY_CASES)
def test_a_header_that_is_refused_in_a_member_is_refused_in_a_deflated_one_and_outside(
    case: str, tmp_path: Path
) -> None:
    data, message = NPY_CASES[case]
    path = tmp_path / "x.params"
    path.write_bytes(archive(Zipped("w.npy", data, deflated=True)))
    with pytest.raises(FormatError) as caught:
        open_params(path)
    assert str(caught.value) == f"{path}: member 'w.npy': {message}"
    path.write_bytes(data)
    with pytest.raises(FormatError) as caught:
        open_params(path)
    if data.startswith(b"\x93NUMPY"):
        assert str(caught.value) == f"{path}: {message}"


def test_a_member_has_no_trailing_bytes_whatever_is_allowed(tmp_path: Path) -> None:
    path = tmp_path / "x.params"
    path.write_bytes(archive(Zipped("w.npy", npy(f32(1, 2, 3)))))
    with pytest.raises(FormatError, match=r"12 bytes behind the \.npy header; expected 8"):
        open_params(path, allow_trailing=True)
