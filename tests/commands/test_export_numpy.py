"""MXNet's NumPy interface, on which GluonNLP 1.0 runs, reads what `export` writes."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest

from bort_convert import convert, export
from bort_convert.params import open_params

if TYPE_CHECKING:
    from pathlib import Path

SCRIPT = """
import sys
import numpy as np
np.bool = bool  # mxnet 1.9.1 asks for it; numpy 1.24 removed it
import mxnet as mx
mx.npx.set_np()
loaded = mx.npx.load(sys.argv[1])
assert all(isinstance(array, mx.np.ndarray) for array in loaded.values())
np.savez(sys.argv[2], **{name: array.asnumpy() for name, array in loaded.items()})
"""


@pytest.mark.mxnet
@pytest.mark.shared
@pytest.mark.parametrize(
    ("name", "choices"),
    [("bert_mlm_a", {"heads": 4}), ("t5_model_a", {}), ("albert_pretrain_a", {"heads": 4, "layers": 3})],
)
def test_the_numpy_interface_of_mxnet_reads_an_exported_file(
    shared: Path, tmp_path: Path, name: str, choices: dict[str, int]
) -> None:
    source = shared / "corpus" / "gluonnlp1" / f"{name}.params"
    convert(source, tmp_path / "out", **choices)  # type: ignore[arg-type]
    export(tmp_path / "out", tmp_path / "back.params")
    command = [sys.executable, "-W", "ignore", "-c", SCRIPT, tmp_path / "back.params", tmp_path / "loaded.npz"]
    subprocess.run(command, check=True)
    with np.load(tmp_path / "loaded.npz") as loaded, open_params(source) as params:
        assert {*loaded.files} == {*params}
        assert all(loaded[array].tobytes() == params[array].tobytes() for array in params)
