from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from params_files import Zipped, archive, f32, npy

from bort_convert.errors import FormatError
from bort_convert.params import open_params

if TYPE_CHECKING:
    from pathlib import Path

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
    ],
)
def test_every_spelling_of_a_header_reads(text: str, version: tuple[int, int], tmp_path: Path) -> None:
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


def test_trailing_bytes_are_ignored_on_request(tmp_path: Path) -> None:
    path = tmp_path / "x.params"
    path.write_bytes(npy(f32(1, 2, 3)))
    with pytest.raises(
        FormatError, match=r"12 bytes behind the .npy header; expected 8 for \(2,\) float32. allow_trail"
    ):
        open_params(path)
    with open_params(path, allow_trailing=True) as file:
        assert file["0"].tolist() == [1, 2]
        assert file.note == "4 bytes behind the end ignored"


DATA = f32(1, 2)
REFUSED = {
    "another magic": (b"\x93NUMPX" + npy(DATA)[6:], r"starts with b'\x93NUMPX'; expected b'\x93NUMPY'"),
    "version 4": (npy(DATA, version=(4, 0)), ".npy version 4.0 at byte 6; expected 1.0, 2.0 or 3.0"),
    "long header": (npy(DATA, text=" " * 5000), "the .npy header announces 5,000 bytes; expected at most 4,096"),
    "longest header": (npy(DATA)[:6] + b"\2\0\xff\xff\xff\xff{", "the .npy header announces 4,294,967,295 bytes"),
    "cut header": (npy(DATA)[:40], "the .npy header needs 58 bytes at byte 10, where 30 remain"),
    "no dict": (
        npy(DATA, text="__import__('os').abort()"),
        "the .npy header is \"__import__('os').abort()\"; expected",
    ),
    "a key missing": (npy(DATA, text="{'descr': '<f4', 'shape': (2,)}"), "expected a dict of descr, fortran_order and"),
    "a key twice": (npy(DATA, text="{'descr': '<f4', 'descr': '<f4', 'shape': (2,)}"), "expected a dict of descr"),
    "no shape": (npy(DATA, text="{'descr': '<f4', 'descr': '<f4', 'fortran_order': True}"), "expected a dict of descr"),
    "order in words": (npy(DATA, fortran="'False'"), "expected a dict of descr, fortran_order and shape"),
    "shape that is a number": (npy(DATA, shape="(2)"), "expected a dict of descr, fortran_order and shape"),
    "negative shape": (npy(DATA, shape="(-2,)"), "expected a dict of descr, fortran_order and shape"),
    "objects": (
        npy(DATA, descr="'|O'"),
        "the .npy header has descr '|O' (objects, which are a pickle and never unpacked)",
    ),
    "big-endian": (npy(DATA, descr="'>f4'"), "has descr '>f4'; expected a little-endian number or bool"),
    "structure": (
        npy(DATA, descr="[('a', '<f4')]"),
        "has descr [('a', '<f4')]; expected a little-endian number or bool",
    ),
    "33 dimensions": (npy(DATA, shape=f"({'1,' * 33})"), "the array has 33 dimensions; expected 0 to 32"),
    "1,900 dimensions": (npy(DATA, shape=f"({'1,' * 1900})"), "the array has 1,900 dimensions; expected 0 to 32"),
    "a dimension of 3,900 digits": (npy(DATA, shape=f"({'9' * 3900},)"), "of float32 is more than 2**63 bytes"),
    "terabytes": (
        npy(DATA, shape="(1099511627776,)"),
        "8 bytes behind the .npy header; expected 4,398,046,511,104 for",
    ),
    "one value too few": (
        npy(DATA, shape="(3,)"),
        "8 bytes behind the .npy header; expected 12 for (3,) float32. Trunc",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_wrong_is_refused_in_a_member_too(case: str, tmp_path: Path) -> None:
    data, expected = REFUSED[case]
    path = tmp_path / "x.params"
    for deflated in (False, True):
        path.write_bytes(archive(Zipped("w.npy", data, deflated)))
        with pytest.raises(FormatError) as caught:
            open_params(path)
        assert str(caught.value).startswith(f"{path}: member 'w.npy': ")
        assert expected in str(caught.value)
        assert len(str(caught.value)) < len(str(path)) + 300
    path.write_bytes(data)
    with pytest.raises(FormatError):
        open_params(path)


def test_a_member_has_no_trailing_bytes_whatever_is_allowed(tmp_path: Path) -> None:
    path = tmp_path / "x.params"
    path.write_bytes(archive(Zipped("w.npy", npy(f32(1, 2, 3)))))
    with pytest.raises(FormatError, match=r"12 bytes behind the \.npy header; expected 8"):
        open_params(path, allow_trailing=True)
