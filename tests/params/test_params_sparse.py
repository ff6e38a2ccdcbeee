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


def test_many_rows_may_have_the_same_column(tmp_path: Path) -> None:
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
            shape = file.header[name].shape
            with pytest.raises(FormatError) as caught:
                file[name]
            assert str(caught.value) == (
                f"{path}: tensor '{name}': the dense form of {shape} float32 takes {needed} bytes; at most 67,108,864 "
                f"are made from a file of {file.size:,}. pieces() gives what is stored"
            )
            assert file.pieces(name)["data"].size == 0
    assert tracemalloc.get_traced_memory()[1] < 2**20
    tracemalloc.stop()


@pytest.mark.parametrize(("always", "ratio", "reads"), [(0, 1, True), (40, 0, True), (39, 0, False)])
def test_a_dense_array_has_a_fixed_size_or_so_many_times_that_of_the_file(
    always: int, ratio: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, reads: bool
) -> None:
    monkeypatch.setattr("bort_convert.params.sparse.ALWAYS_DENSE", always)
    monkeypatch.setattr("bort_convert.params.sparse.DENSE_RATIO", ratio)
    path = tmp_path / "x.params"
    path.write_bytes(list_file(row_sparse()))
    with open_params(path) as file:
        if reads:
            assert file["a"].nbytes == 40
        else:
            with pytest.raises(FormatError, match="takes 40 bytes; at most 39 are made"):
                file["a"]


def test_an_array_of_a_larger_file_may_be_larger_when_dense(tmp_path: Path) -> None:
    path = tmp_path / "x.params"
    values = (0.5,) * 2**15
    path.write_bytes(list_file(row_sparse(values, (1, 2**15), (2**10, 2**15), (1,))))
    with open_params(path) as file:
        assert file.size * 1024 > file["a"].nbytes > 64 * 2**20
