from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import ml_dtypes
import numpy as np
import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st
from params_files import csr, f32, list_file, names, record, row_sparse, u32

from bort_convert import cli, convert, inspect, open_params, save_params
from bort_convert.errors import MappingError
from bort_convert.files.streams import PIECE
from bort_convert.weights.statistics import Statistics, check_finite, compute_statistics

if TYPE_CHECKING:
    from pathlib import Path

    from bort_convert.dtypes import Array

INF, NAN = float("inf"), float("nan")
DTYPES = ["float16", "float32", "float64", ml_dtypes.bfloat16, "int8", "int64", "uint64", "uint8"]


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli.main, [str(argument) for argument in arguments], catch_exceptions=False)


def test_nan_and_inf_are_counted_and_left_out_of_the_range() -> None:
    found = compute_statistics([np.array([1, NAN, -3], "f4"), np.array([INF, -INF, NAN, 4], "f4")], (7,))
    assert found == Statistics(7, nans=2, infinities=2, first=(1,), minimum=-3, maximum=4, mean=pytest.approx(2 / 3))
    assert str(found) == "2 NaN and 2 inf in 7 values"
    assert not found.finite


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_dtype_has_a_range_and_a_mean(dtype: Any) -> None:  # noqa: ANN401
    found = compute_statistics([np.array([3, 1, 2], dtype), np.array([6], dtype)], (2, 2))
    assert (found.minimum, found.maximum, found.mean, found.finite) == (1, 6, 3, True)


@pytest.mark.parametrize("dtype", DTYPES[:4])
def test_nan_and_inf_are_counted_in_every_floating_point_dtype(dtype: Any) -> None:  # noqa: ANN401
    found = compute_statistics([np.array([0, NAN, INF, -INF], dtype)], (2, 2))
    assert (found.nans, found.infinities, found.first, found.mean) == (1, 2, (0, 1), 0)


def test_bools_are_0_and_1() -> None:
    assert compute_statistics([np.array([True, False])], (2,)) == Statistics(2, minimum=0, maximum=1, mean=0.5)


@pytest.mark.parametrize(("values", "shape"), [([], (0, 3)), ([NAN], ()), ([INF, NAN], (2,))])
def test_without_a_finite_value_there_is_no_range(values: list[float], shape: tuple[int, ...]) -> None:
    found = compute_statistics([np.array(values, "f4")], shape)
    assert (found.minimum, found.maximum, found.mean, found.count) == (None, None, None, len(values))
    assert found.first == ((0,) * len(shape) if values else None)


def test_the_largest_values_do_not_overflow() -> None:
    big = float(np.finfo("f8").max)
    cases = {(big,) * 3: big, (-big,) * 3: -big, (big, -big): 0, (big, big, -big): big / 3}
    for values, mean in cases.items():
        found = compute_statistics([np.array(values), np.array(values)], (2, len(values)))
        assert found.mean == pytest.approx(mean, rel=1e-12)


@given(st.lists(st.lists(st.floats(width=32), max_size=6), max_size=6))
def test_the_statistics_of_pieces_are_those_of_the_whole(pieces: list[list[float]]) -> None:
    whole = np.array([value for piece in pieces for value in piece], "f4")
    found = compute_statistics([np.array(piece, "f4") for piece in pieces], whole.shape)
    finite = whole[np.isfinite(whole)].astype("f8")
    assert (found.nans, found.infinities) == (np.isnan(whole).sum(), np.isinf(whole).sum())
    assert found.first == (None if finite.size == whole.size else (int(np.argmin(np.isfinite(whole))),))
    if finite.size:
        assert (found.minimum, found.maximum) == (finite.min(), finite.max())
        assert found.mean == pytest.approx(finite.mean(), rel=1e-9, abs=float(np.abs(finite).max()) * 1e-12)


def test_the_first_value_that_is_not_finite_may_be_behind_the_first_piece(tmp_path: Path) -> None:
    array = np.zeros((3, PIECE // 4), np.float32)
    array[2, 5] = NAN
    save_params(tmp_path / "x.params", {"a": array})
    assert inspect(tmp_path / "x.params", values=True).values["a"].first == (2, 5)


def test_inspect_shows_values_only_on_request(fixtures: Path) -> None:
    assert inspect(fixtures / "cnn_tiny.params").values == {}
    assert "MEAN" not in run("inspect", fixtures / "cnn_tiny.params").output


def test_inspect_shows_the_values_of_every_kind_of_array(tmp_path: Path) -> None:
    path = tmp_path / "x.params"
    records = [record(f32(1, NAN), (2,)), row_sparse(), csr(), u32(0)]
    path.write_bytes(list_file(*records, table=names("dense", "rows", "cells", "none")))
    lines = [line.split() for line in run("inspect", path, "--values").output.splitlines()]
    assert ["NAME", "MIN", "MAX", "MEAN", "NAN", "INF"] in lines
    assert ["dense", "1", "1", "1", "1", "0", "first", "at", "(1,)"] in lines
    assert ["rows", "0", "4", "1", "0", "0"] in lines
    assert ["cells", "0", "3", "0.5", "0", "0"] in lines
    arrays = json.loads(run("inspect", path, "--values", "--json").stdout)["arrays"]
    assert arrays[0]["values"] == {
        "count": 2, "nans": 1, "infinities": 0, "first": [1], "minimum": 1.0, "maximum": 1.0, "mean": 1.0
    }  # fmt: skip
    assert "values" not in arrays[3]


def test_the_statistics_of_every_fixture_are_those_of_numpy(fixtures: Path) -> None:
    for path in fixtures.glob("*.params"):
        found = inspect(path, values=True).values
        with open_params(path) as params:
            assert list(found) == list(params)
            for name, array in params.items():
                values = found[name]
                assert (values.minimum, values.maximum, values.count) == (array.min(), array.max(), array.size)
                assert values.mean == pytest.approx(array.mean(dtype="f8"), rel=1e-9, abs=1e-12)
                assert values.finite


@pytest.fixture
def spoilt(fixtures: Path, tmp_path: Path) -> Path:
    """Make a Bort with 3 NaN in one tensor and an inf in another."""
    with open_params(fixtures / "bort_4_8_24_32.params") as params:
        arrays: dict[str, Array] = {name: array.copy() for name, array in params.items()}
    arrays["encoder.position_weight"][4, 7:10] = NAN
    arrays["encoder.layer_norm.beta"][-1] = -INF
    save_params(tmp_path / "spoilt.params", arrays)
    return tmp_path / "spoilt.params"


def test_strict_refuses_values_that_are_not_finite_and_writes_nothing(spoilt: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    for options in ([], ["--dry-run"]):
        result = run("convert", spoilt, out, "--family", "bort", "--heads", 8, "--strict", *options)
        assert (result.exit_code, result.stdout) == (3, "")
        assert "encoder.position_weight: 3 NaN in 768 values, first at (4, 7)\n" in result.stderr
        assert "encoder.layer_norm.beta: 1 inf in 32 values, first at (31,)\n" in result.stderr
        assert len(result.stderr.splitlines()) == 3
    assert [path.name for path in tmp_path.iterdir()] == [spoilt.name]
    with pytest.raises(MappingError) as caught:
        convert(spoilt, out, family="bort", heads=8, strict=True)
    assert len(caught.value.disagreements) == 2


def test_without_strict_nan_and_inf_are_converted_as_they_are(spoilt: Path, tmp_path: Path) -> None:
    assert run("convert", spoilt, tmp_path / "out", "--family", "bort", "--heads", 8).exit_code == 0
    assert run("convert", spoilt, tmp_path / "dry", "--family", "bort", "--heads", 8, "--dry-run").exit_code == 0


def test_strict_lets_finite_values_pass(fixtures: Path, tmp_path: Path) -> None:
    source = fixtures / "bort_2_3_24_24-fp16.params"
    assert run("convert", source, tmp_path / "out", "--family", "bort", "--heads", 3, "--strict").exit_code == 0


def test_a_name_in_the_message_is_escaped() -> None:
    with pytest.raises(MappingError, match=r"a\\x1b: 1 NaN in 1 values, first at \(\)"):
        check_finite({"a\x1b": Statistics(1, nans=1, first=())})
