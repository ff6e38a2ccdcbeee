"""The package runs, and writes the same bytes, where NumPy, ml_dtypes, threads or calls of the system are missing."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import ml_dtypes
import numpy as np
import pytest
from environment import unmeasured
from fleet import content
from lacking import BROWSER, CALLS, TAKE_AWAY

from bort_convert import convert, extract, inspect, open_params, save_params

if TYPE_CHECKING:
    from collections.abc import Sequence

BORT = Path(__file__).parents[1] / "fixtures" / "bort_4_8_24_32.params"

# Runs the functions that the other arguments name, without what the first one does.
PROGRAM = (
    TAKE_AWAY
    + """
import bort_convert

known = {"family": "bort", "heads": 8}
for call in sys.argv[3:]:
    function, _, target = call.partition("=")
    if function == "inspect":
        print(json.dumps(bort_convert.inspect(sys.argv[2], **known).to_dict()))
    elif function == "convert":
        bort_convert.convert(sys.argv[2], target, **known)
    elif function == "extract":
        bort_convert.extract(sys.argv[2], target)
    elif function == "inspect_values":
        bort_convert.inspect(sys.argv[2], values=True, **known)
    else:
        with bort_convert.open_params(sys.argv[2]) as params:
            print({name: params[name].tobytes().hex() for name in list(params)[:3]})
"""
)


def run(missing: Sequence[str], source: Path, *calls: str, status: int = 0) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", PROGRAM, json.dumps(missing), str(source), *calls]
    process = subprocess.run(command, env=unmeasured(), check=False, capture_output=True, text=True)
    assert process.returncode == status, process.stderr
    return process


@pytest.fixture(scope="module")
def converted(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Convert the Bort here, where nothing is missing."""
    folder = tmp_path_factory.mktemp("converted") / "out"
    convert(BORT, folder, family="bort", heads=8)
    return content(folder)


@pytest.fixture(scope="module")
def bfloat16_bort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the Bort in bfloat16."""
    path = tmp_path_factory.mktemp("bfloat16") / "bort.params"
    with open_params(BORT) as params:
        save_params(path, {name: array.astype(ml_dtypes.bfloat16) for name, array in params.items()})
    return path


@pytest.mark.parametrize(
    "missing",
    [
        pytest.param([], id="nothing"),
        pytest.param(["numpy", "ml_dtypes"], id="numpy"),
        pytest.param(["threads"], id="threads"),
        pytest.param(["mmap"], id="mmap"),
        pytest.param(["fcntl"], id="locks"),
        pytest.param(CALLS, id="calls"),
        pytest.param(BROWSER, id="all of them, as in a browser"),
    ],
)
def test_a_checkpoint_is_inspected_and_converted_to_the_same_bytes(
    missing: list[str], converted: dict[str, bytes], tmp_path: Path
) -> None:
    output = run(missing, BORT, "inspect", f"convert={tmp_path / 'out'}").stdout
    assert json.loads(output) == json.loads(json.dumps(inspect(BORT, family="bort", heads=8).to_dict()))
    assert content(tmp_path / "out") == converted


@pytest.mark.parametrize("missing", [["mmap"], ["numpy"], ["mmap", "numpy"]])
def test_arrays_are_read_where_mmap_or_numpy_is_missing(missing: list[str]) -> None:
    assert run(missing, BORT, "open_params").stdout == run([], BORT, "open_params").stdout


def test_computing_with_values_without_numpy_is_an_error_that_names_the_package() -> None:
    error = run(["numpy"], BORT, "inspect_values", status=1).stderr.splitlines()[-1]
    assert error.startswith("bort_convert.errors.BackendError: computing with values needs NumPy (")
    assert error.endswith("): pip install numpy")


@pytest.mark.parametrize("missing", [["ml_dtypes"], ["numpy", "ml_dtypes"]])
def test_bytes_of_bfloat16_are_copied_without_ml_dtypes(
    missing: list[str], bfloat16_bort: Path, tmp_path: Path
) -> None:
    expected, found = tmp_path / "expected", tmp_path / "found"
    expected.mkdir()
    found.mkdir()
    convert(bfloat16_bort, expected / "out", family="bort", heads=8)
    extract(bfloat16_bort, expected / "x.safetensors")
    calls = ("inspect", f"convert={found / 'out'}", f"extract={found / 'x.safetensors'}")
    run(missing, bfloat16_bort, *calls)
    assert content(found / "out") == content(expected / "out")
    assert (found / "x.safetensors").read_bytes() == (expected / "x.safetensors").read_bytes()


def test_tied_bfloat16_tensors_that_differ_are_counted_without_ml_dtypes(bfloat16_bort: Path, tmp_path: Path) -> None:
    with open_params(bfloat16_bort) as params:
        arrays = dict(params)
    arrays["decoder.3.weight"] = arrays["decoder.3.weight"].copy()
    arrays["decoder.3.weight"].view(np.uint16)[1, 2] ^= 1
    path = tmp_path / "untied.params"
    save_params(path, arrays)
    error = run(["ml_dtypes"], path, f"convert={tmp_path / 'out'}", status=1).stderr
    assert "differs from word_embed.0.weight in 1 of" in error
    assert "first at (1, 2)" in error


def test_values_of_bfloat16_without_ml_dtypes_are_an_error_that_names_the_extra(bfloat16_bort: Path) -> None:
    error = run(["ml_dtypes"], bfloat16_bort, "open_params", status=1).stderr.splitlines()[-1]
    assert error.startswith("bort_convert.errors.BackendError: computing with bfloat16 values needs ml_dtypes (")
    assert error.endswith('): pip install ".[bfloat16]" in a clone of bort_convert')
