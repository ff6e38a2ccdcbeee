"""Conversions of GluonNLP 1.0's checkpoints against the outputs that the original gave, at every layer and head."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from bort_convert.commands.convert import convert
from bort_convert.model_dir.read import read_model_dir
from bort_convert.verification.behaviour import Limits, check_behaviour
from bort_convert.verification.trace import HEADS

if TYPE_CHECKING:
    from bort_convert.verification.behaviour import BehaviourResult

pytestmark = [pytest.mark.torch, pytest.mark.shared]

CORPUS = Path(__file__).parents[3] / "shared" / "corpus" / "gluonnlp1"
NAMES = sorted(path.stem for path in CORPUS.glob("*.npz"))
FLOAT32 = {
    "bert": (5.2e-6, 4.4e-6),
    "albert": (2.9e-6, 3.8e-6),
    "electra": (3.6e-6, 2.5e-6),
    "mobilebert": (1.9e-4, 1.4e-4),
    "roberta": (2.0e-6, 3.8e-6),
    "xlmr": (1.9e-6, 3.8e-6),
    "gpt2": (6.2e-6, 2.4e-6),
    "bart": (3.3e-6, 3.6e-6),
    "t5": (8.1e-6, 3.4e-6),
    "mt5": (5.7e-5, 1.8e-5),
}
"""Family -> largest differences of layers and of heads in float32, as measured before there was a table."""
SHARP = ("bert", "electra", "albert", "t5")


def limits_of(name: str, dtype: str) -> tuple[float, float]:
    """Largest differences of layers and of heads."""
    family = name.partition("_")[0]
    if dtype == "float64":
        return (1e-13, 1e-13) if family in SHARP else (1e-11, 1e-11)
    layers, heads = FLOAT32[family]
    return 2 * layers, 2 * heads


def compared(name: str, folder: Path) -> BehaviourResult:
    """Convert a checkpoint and compare what torch computes with the original's outputs."""
    from gluonnlp1_corpus import Float32Parts, checkpoint_at  # noqa: PLC0415 - torch is loaded when it is needed

    checkpoint = checkpoint_at(CORPUS, name)
    convert(checkpoint.path, folder, **checkpoint.options)
    directory = read_model_dir(folder)
    with Float32Parts():
        return check_behaviour(checkpoint.trace(directory), directory, ("float64", "float32"), limits=Limits())


@pytest.mark.parametrize("name", NAMES)
def test_every_layer_and_head_agrees_with_the_original(name: str, tmp_path: Path) -> None:
    from gluonnlp1_corpus import REFUSED  # noqa: PLC0415

    if name in REFUSED:
        pytest.skip("no class of transformers computes it")
    result = compared(name, tmp_path / "out")
    assert {run.dtype for run in result.runs} == {"float64", "float32"}, result.check.detail
    for run in result.runs:
        layers, heads = limits_of(name, run.dtype)
        for output in run.layers:
            assert not output.problem, f"{output.name}: {output.problem}"
            assert output.max_abs <= (heads if output.name in HEADS else layers), (run.dtype, output.name)
