from __future__ import annotations

import tracemalloc
from typing import TYPE_CHECKING

import numpy as np
import pytest
from params_files import csr, list_file, row_sparse

from bort_convert.errors import FormatError
from bort_convert.params import open_params

if TYPE_CHECKING:
    from pathlib import Path


def test_rows_come_in_any_order(tmp_path: Path) -> None:
    path = tmp_path / "x.params"
    path.write_bytes(list_file(row_sparse()))
    with open_params(path) as file:
        assert file["a"].tolist() == [[3, 4], [0, 0], [0, 0], [1, 2], [0, 0]]
        assert file.pieces("a")["indices"].tolist() == [3, 0]
        info = file.header["a"]
        assert (info.storage, info.shape, info.nbytes, info.dtype) == ("row_sparse", (5, 2), 16, "float32")


def test_compressed_rows_read_as_dense(tmp_path: Path) -> None:
    path = tmp_path / "x.params"
    path.write_bytes(list_file(csr()))
    with open_params(path) as file:
        assert file["a"].tolist() == [[1, 0, 0, 0], [0, 0, 0, 0], [0, 3, 0, 2]]
        info = file.header["a"]
        assert (info.storage, info.shape, info.nbytes) == ("csr", (3, 4), 12)


NOTHING_STORED = {
    "row_sparse": row_sparse((), (0, 2), (5, 2), ()),
    "row_sparse of no rows": row_sparse((), (0, 2), (0, 2), ()),
    "row_sparse of one axis": row_sparse((), (0,), (5,), ()),
    "csr": csr((), (3, 4), (0, 0, 0, 0), ()),
    "csr that was never filled": csr((), (3, 4), (), ()),
    "csr of no rows": csr((), (0, 4), (0,), ()),
}


@pytest.mark.parametrize("case", NOTHING_STORED)
def test_an_array_that_stores_nothing_is_zero(case: str, tmp_path: Path) -> None:
    path = tmp_path / "x.params"
    path.write_bytes(list_file(NOTHING_STORED[case]))
    with open_params(path) as file:
        assert file["a"].shape == file.header["a"].shape
        assert not np.any(file["a"])
        assert file.pieces("a")["data"].size == 0


REFUSED_AT_ONCE = {
    "more rows than row numbers": (
        row_sparse(rows=(3,)),
        "the indices of a row_sparse array of shape (5, 2) have the shape (1,); expected (2,)",
    ),
    "rows of another width": (
        row_sparse(stored=(1, 4)),
        "the data of a row_sparse array of shape (5, 2) have the shape (1, 4); expected (1, 2)",
    ),
    "rows of no dimensions": (
        row_sparse((1,), (), (5, 2), ()),
        "the data of a row_sparse array of shape (5, 2) have the shape (); expected (5, 2)",
    ),
    "scalar with rows": (
        row_sparse((1,), (), (), ()),
        "a row_sparse array of shape (); expected one dimension or more",
    ),
    "row numbers as float32": (
        row_sparse(index_flag=0),
        "the indices of a row_sparse array are float32; expected int64",
    ),
    "csr of three dimensions": (csr(shape=(3, 4, 1)), "a csr array of shape (3, 4, 1); expected two dimensions"),
    "indptr too short": (
        csr(starts=(0, 1, 3)),
        "the indptr of a csr array of shape (3, 4) have the shape (3,); expected (4,)",
    ),
    "no indptr for values": (
        csr(starts=()),
        "the indptr of a csr array of shape (3, 4) have the shape (0,); expected (4,)",
    ),
    "fewer columns than values": (
        csr(columns=(0, 3)),
        "the data of a csr array of shape (3, 4) have the shape (3,); expected (2,)",
    ),
    "negative dimension": (csr(shape=(3, -4)), "dimension 1 of (3, -4) is -4; expected 0 or more"),
}

REFUSED_ON_ACCESS = {
    "row out of range": (row_sparse(rows=(0, 5)), "row number 5 is out of range; expected 0 or more and less than 5"),
    "negative row": (row_sparse(rows=(-1, 0)), "row number -1 is out of range"),
    "row twice, apart": (
        row_sparse(range(6), (3, 2), rows=(3, 0, 3)),
        "row number 3 stands there twice; expected once",
    ),
    "row twice": (row_sparse(rows=(3, 3)), "row number 3 stands there twice; expected once"),
    "column out of range": (
        csr(columns=(0, 9, 1)),
        "column number 9 is out of range; expected 0 or more and less than 4",
    ),
    "negative column": (csr(columns=(0, -1, 1)), "column number -1 is out of range"),
    "column twice": (csr(columns=(0, 2, 2)), "column number 2 stands there twice; expected once"),
    "indptr falls": (csr(starts=(0, 3, 1, 3)), "csr indptr falls from 3 to 1 behind row 1"),
    "indptr starts late": (
        csr(starts=(1, 1, 1, 3)),
        "csr indptr runs from 1 to 3; expected 0 to 3, the number of values",
    ),
    "indptr ends early": (csr(starts=(0, 1, 1, 2)), "csr indptr runs from 0 to 2; expected 0 to 3"),
    "indptr below zero": (csr(starts=(0, -1, 1, 3)), "csr indptr falls from 0 to -1 behind row 0"),
}


@pytest.mark.parametrize("case", REFUSED_AT_ONCE)
def test_shapes_that_contradict_one_another_are_refused_at_once(case: str, tmp_path: Path) -> None:
    data, expected = REFUSED_AT_ONCE[case]
    path = tmp_path / "x.params"
    path.write_bytes(list_file(data))
    with pytest.raises(FormatError) as caught:
        open_params(path)
    assert f"{path}: tensor 1 of 1: {expected}" in str(caught.value)


@pytest.mark.parametrize("case", REFUSED_ON_ACCESS)
def test_a_wrong_index_is_refused_before_any_piece_is_handed_out(case: str, tmp_path: Path) -> None:
    data, expected = REFUSED_ON_ACCESS[case]
    path = tmp_path / "x.params"
    path.write_bytes(list_file(data))
    with open_params(path) as file:
        for read in (file.pieces, file.__getitem__):
            with pytest.raises(FormatError) as caught:
                read("a")
            assert f"{path}: tensor 'a': {expected}" in str(caught.value)


def test_one_column_may_stand_in_many_rows(tmp_path: Path) -> None:
    path = tmp_path / "x.params"
    path.write_bytes(list_file(csr(starts=(0, 1, 2, 3), columns=(2, 2, 2))))
    with open_params(path) as file:
        assert file["a"][:, 2].tolist() == [1, 2, 3]


def test_a_few_bytes_do_not_become_terabytes(tmp_path: Path) -> None:
    path = tmp_path / "x.params"
    path.write_bytes(list_file(csr((), (2**40, 2**20), (), ()), row_sparse((), (0, 2**20), (2**5, 2**20), ())))
    tracemalloc.start()
    with open_params(path) as file:
        assert file.header["a"].shape == (2**40, 2**20)
        for name, needed in (("a", "4,611,686,018,427,387,904"), ("b", "134,217,728")):
            with pytest.raises(
                FormatError, match=f"takes {needed} bytes; at most 67,108,864 are made from a file of 2"
            ):
                file[name]
            assert file.pieces(name)["data"].size == 0
    assert tracemalloc.get_traced_memory()[1] < 2**20
    tracemalloc.stop()


def test_a_larger_file_may_have_a_larger_dense_form(tmp_path: Path) -> None:
    path = tmp_path / "x.params"
    values = (0.5,) * 2**15
    path.write_bytes(list_file(row_sparse(values, (1, 2**15), (2**10, 2**15), (1,))))
    with open_params(path) as file:
        assert file.size * 1024 > file["a"].nbytes > 64 * 2**20
