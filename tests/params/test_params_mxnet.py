"""The format against MXNet itself: MXNet loads what bort_convert writes, and bort_convert reads what MXNet writes."""

from __future__ import annotations

import importlib
import os
import warnings
from typing import TYPE_CHECKING, Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from bort_convert.params import open_params, save_params

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.mxnet

TENSORS = {
    "w.float32": np.array([[1.5, -0.0, np.nan], [np.inf, 1e-45, 3.0]], "f4"),
    "größe": np.arange(4, dtype="f8").reshape(2, 1, 2),
    "arg:half": np.array([1, 65504, 6e-8], "f2"),
    "aux:bytes": np.array([[0], [255]], "u1"),
    "": np.array([-(2**31), 2**31 - 1], "i4"),
    "i8": np.array([-128, 127, 0], "i1"),
    "i64": np.array([-(2**63), 2**63 - 1]),
    "flags": np.array([True, False, True]),
    "none": np.zeros((0, 3), "f4"),
    "deep": np.arange(64, dtype="f4").reshape(2, 2, 2, 2, 2, 2),
}


@pytest.fixture(scope="module")
def mx() -> Any:  # noqa: ANN401
    with warnings.catch_warnings(), pytest.MonkeyPatch.context() as patch:
        warnings.simplefilter("ignore")
        if not hasattr(np, "bool"):
            patch.setattr(np, "bool", bool, raising=False)  # mxnet 1.9.1 asks for it
        try:
            yield importlib.import_module("mxnet")
        except ImportError as error:
            if os.environ.get("BORT_CONVERT_NO_SKIP") == "1":
                pytest.fail(f"mxnet must be installed: {error}")
            pytest.skip(f"needs mxnet: {error}")


def test_mxnet_loads_what_is_written_with_names(mx: Any, tmp_path: Path) -> None:  # noqa: ANN401
    save_params(tmp_path / "x.params", TENSORS)
    loaded = mx.nd.load(str(tmp_path / "x.params"))
    assert loaded.keys() == TENSORS.keys()
    for name, array in TENSORS.items():
        found = loaded[name].asnumpy()
        assert (found.dtype, found.shape, found.tobytes()) == (array.dtype, array.shape, array.tobytes())


def test_mxnet_loads_what_is_written_without_names(mx: Any, tmp_path: Path) -> None:  # noqa: ANN401
    save_params(tmp_path / "x.params", list(TENSORS.values()))
    loaded = mx.nd.load(str(tmp_path / "x.params"))
    assert isinstance(loaded, list)
    assert [array.asnumpy().tobytes() for array in loaded] == [array.tobytes() for array in TENSORS.values()]


DTYPES = ("f2", "f4", "f8", "u1", "i4", "i1", "i8", "?")
SHAPES = hnp.array_shapes(min_dims=1, max_dims=5, min_side=0, max_side=3)
ARRAYS = st.sampled_from(DTYPES).flatmap(lambda dtype: hnp.arrays(dtype, SHAPES))
BFLOAT16 = hnp.arrays("<u2", SHAPES).map(lambda array: array.view(ml_dtypes.bfloat16))
NAMES = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), max_size=20)


@given(tensors=st.dictionaries(NAMES, ARRAYS | BFLOAT16, max_size=4), named=st.booleans())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_mxnet_loads_whatever_is_written_and_writes_the_same_bytes(
    *,
    mx: Any,  # noqa: ANN401
    tensors: dict[str, np.ndarray],
    named: bool,
    tmp_path: Path,
) -> None:
    ours, theirs = tmp_path / "x.params", tmp_path / "y.params"
    save_params(ours, tensors if named else list(tensors.values()))
    loaded = mx.nd.load(str(ours))
    if named and tensors:
        assert list(loaded) == list(tensors)
    arrays = loaded.values() if isinstance(loaded, dict) else loaded
    for array, expected in zip(arrays, tensors.values(), strict=True):
        found = array.asnumpy()
        assert (found.shape, found.tobytes()) == (expected.shape, expected.tobytes())
        assert (found.dtype.names or [found.dtype.name])[0] == expected.dtype.name
    mx.nd.save(str(theirs), loaded)
    assert theirs.read_bytes() == ours.read_bytes()


def test_mxnet_loads_bfloat16(mx: Any, tmp_path: Path) -> None:  # noqa: ANN401
    values = np.array([[1.5, -2.0, 3e38]], ml_dtypes.bfloat16)
    save_params(tmp_path / "x.params", {"b": values})
    loaded = mx.nd.load(str(tmp_path / "x.params"))["b"]
    np.testing.assert_array_equal(mx.nd.amp_cast(loaded, dtype="float32").asnumpy(), values.astype("f4"))
    mx.nd.save(str(tmp_path / "y.params"), {"b": loaded})
    assert (tmp_path / "y.params").read_bytes() == (tmp_path / "x.params").read_bytes()


def test_the_bytes_are_those_that_mxnet_writes(mx: Any, tmp_path: Path) -> None:  # noqa: ANN401
    save_params(tmp_path / "x.params", TENSORS)
    mx.nd.save(str(tmp_path / "y.params"), mx.nd.load(str(tmp_path / "x.params")))
    assert (tmp_path / "y.params").read_bytes() == (tmp_path / "x.params").read_bytes()


@pytest.mark.parametrize("named", [True, False])
def test_what_mxnet_writes_reads(mx: Any, named: bool, tmp_path: Path) -> None:  # noqa: ANN401, FBT001
    arrays = {name: mx.nd.array(array, dtype=array.dtype) for name, array in TENSORS.items() if array.size}
    mx.nd.save(str(tmp_path / "x.params"), arrays if named else list(arrays.values()))
    with open_params(tmp_path / "x.params") as file:
        assert file.named == named
        assert list(file) == (list(arrays) if named else [str(number) for number in range(len(arrays))])
        for array, expected in zip(file.values(), arrays.values(), strict=True):
            assert array.tobytes() == expected.asnumpy().tobytes()


@pytest.mark.parametrize("storage", ["row_sparse", "csr"])
def test_sparse_arrays_of_mxnet_read(mx: Any, storage: str, tmp_path: Path) -> None:  # noqa: ANN401
    dense = np.zeros((6, 5), "f4")
    dense[[1, 4], 2:4] = [[1, 2], [3, 4]]
    arrays = {"s": mx.nd.array(dense).tostype(storage), "z": mx.nd.sparse.zeros(storage, (3, 4))}
    mx.nd.waitall()  # MXNet 1.9.1 saves the shape of a row_sparse array that is still being computed
    mx.nd.save(str(tmp_path / "x.params"), arrays)
    with open_params(tmp_path / "x.params") as file:
        np.testing.assert_array_equal(file["s"], dense)
        np.testing.assert_array_equal(file["z"], np.zeros((3, 4)))
        assert file.header["s"].storage == storage
        for role, array in file.pieces("s").items():
            np.testing.assert_array_equal(array, getattr(arrays["s"], role).asnumpy())


def test_scalars_of_mxnet_read_though_it_does_not_read_them_itself(mx: Any, tmp_path: Path) -> None:  # noqa: ANN401
    mx.nd.save(str(tmp_path / "x.params"), [mx.nd.array(np.float32(4.5)), mx.nd.array([1, 2])])
    with open_params(tmp_path / "x.params") as file:
        assert [array.tolist() for array in file.values()] == [4.5, [1, 2]]
    with pytest.raises(mx.base.MXNetError):
        mx.nd.load(str(tmp_path / "x.params"))


def test_np_semantics_of_mxnet_read(mx: Any, tmp_path: Path) -> None:  # noqa: ANN401
    with mx.util.np_shape(active=True):
        mx.nd.save(str(tmp_path / "x.params"), {"s": mx.nd.array(np.float32(4.5)), "e": mx.nd.zeros((2, 0))})
    with open_params(tmp_path / "x.params") as file:
        assert file["s"].tolist() == 4.5
        assert file["e"].shape == (2, 0)
