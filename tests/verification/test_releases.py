"""Later versions of gluonnlp, run live, and conversions for each of them with `gluonnlp_version`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from click.testing import CliRunner

from bort_convert.cli import main
from bort_convert.commands.convert import convert
from bort_convert.errors import BackendError
from bort_convert.mapping.model_ops import Scramble
from bort_convert.model_dir.read import read_model_dir
from bort_convert.params import open_params, save_params
from bort_convert.verification import record, verify
from bort_convert.verification.behaviour import BehaviourResult, Limits, check_behaviour
from bort_convert.verification.inputs import default_inputs
from bort_convert.verification.reference import LiveReference, ReferenceOptions, fit_checkpoint, run_reference

if TYPE_CHECKING:
    from bort_convert.verification.trace import Trace

pytestmark = [pytest.mark.mxnet, pytest.mark.torch]

FIXTURES = Path(__file__).parents[2] / "fixtures"
FAMILIES = ("bert", "distilbert", "ernie", "roberta")
HEADS = 2


@dataclass(frozen=True)
class Bench:
    """Float32 outputs of one release of gluonnlp for a fixture, and a folder for converted directories."""

    source: Path
    trace: Trace
    folder: Path

    def compared(self, gluonnlp_version: str | None) -> BehaviourResult:
        """Convert for a version of gluonnlp and compare the behaviour."""
        target = self.folder / f"{gluonnlp_version}"
        convert(
            self.source,
            target,
            family=family_of(self.source),
            heads=HEADS,
            gluonnlp_version=gluonnlp_version,
            force=True,
        )
        return check_behaviour(self.trace, read_model_dir(target), ("float32",), limits=Limits())


def family_of(source: Path) -> str:
    return source.name.partition("_")[0]


def run_release(source: Path, folder: Path, *, attentions: bool = False, dtype: str = "float32") -> Trace:
    fit = fit_checkpoint(source, family=family_of(source), heads=HEADS)
    masked = 4 if "masked-language-model head" in fit.plan.groups else None
    inputs = default_inputs(fit.plan.dims, masked=masked)
    return run_reference(
        LiveReference(source, fit, ReferenceOptions(gluonnlp=str(folder))),
        inputs,
        dtypes=(dtype,),
        attentions=attentions,
    )


def bench_of(family: str, release: str, releases: Path, folder: Path) -> Bench:
    source = FIXTURES / f"{family}_2_2_8_8.params"
    return Bench(source, run_release(source, releases / f"gluonnlp-{release}"), folder)


def largest(compared: BehaviourResult) -> float:
    return max(layer.max_abs for run in compared.runs for layer in run.layers)


@pytest.mark.parametrize("family", FAMILIES)
def test_gluonnlp_0_10_agrees_with_a_conversion_for_it(family: str, releases: Path, tmp_path: Path) -> None:
    bench = bench_of(family, "0.10.0", releases, tmp_path)
    assert bench.trace.provenance["gluonnlp"] == "0.10.0"
    compared = bench.compared("0.10")
    assert compared.check.passed, compared.check.detail
    activation = [note for note in compared.notes if "activation" in note]
    assert len(activation) == len([note for note in compared.notes if "no place" in note]) == (family == "ernie")


@pytest.mark.parametrize("family", FAMILIES)
def test_gluonnlp_0_9_2_agrees_with_a_conversion_for_it_and_with_no_other(
    family: str, releases: Path, tmp_path: Path
) -> None:
    bench = bench_of(family, "0.9.2", releases, tmp_path)
    compared = bench.compared("0.9.2")
    assert compared.check.passed, compared.check.detail
    for other in (None, "0.10"):
        compared = bench.compared(other)
        assert "layer 0: max |d| " in compared.check.detail
        assert largest(compared) > 0.5


@pytest.mark.parametrize("family", ["distilbert", "ernie", "roberta"])
def test_gluonnlp_0_9_1_has_another_epsilon_after_the_embeddings(family: str, releases: Path, tmp_path: Path) -> None:
    bench = bench_of(family, "0.9.1", releases, tmp_path)
    compared = bench.compared("0.9.1")
    assert compared.check.passed, compared.check.detail
    (note,) = [note for note in compared.notes if "the embeddings' LayerNorm epsilon, 1e-12" in note]
    with_it, without_it = (float(part.split(" ")[0].strip(",")) for part in note.split("max |d| ")[1].split(" it, "))
    assert with_it < 2e-5
    assert without_it > 5e-5
    compared = bench.compared("0.9.2")
    assert not compared.check.passed
    assert 5e-5 < largest(compared) < 1e-2


def test_0_9_2_differs_from_0_10_by_the_order_of_the_biases_alone(releases: Path, tmp_path: Path) -> None:
    """The same bits out of 0.10.0, where the biases are in the order that 0.9.2 read them in."""
    source = FIXTURES / "roberta_2_2_8_8.params"
    with open_params(source) as params:
        values = {name: np.array(array) for name, array in params.items()}
    for layer in range(2):
        names = [
            f"encoder.transformer_cells.{layer}.attention_cell.proj_{part}.bias" for part in ("query", "key", "value")
        ]
        read = Scramble(3, HEADS).forward(*(values[name] for name in names))
        values.update(zip(names, read, strict=True))
    save_params(tmp_path / "roberta_read.params", values)
    trained = run_release(source, releases / "gluonnlp-0.9.2", attentions=True).outputs["float32"]
    read = run_release(tmp_path / "roberta_read.params", releases / "gluonnlp-0.10.0", attentions=True).outputs
    assert list(trained) == list(read["float32"])
    assert {"attention.1", "layer.1", "mlm_logits"} <= set(trained)
    assert all(np.array_equal(values, read["float32"][name]) for name, values in trained.items())
    # In float64, which the kernels of 0.9 lack, gluonnlp 0.8.3 says the same of that file.
    convert(source, tmp_path / "out", family="roberta", heads=HEADS, gluonnlp_version="0.9.2")
    convert(tmp_path / "roberta_read.params", tmp_path / "read", family="roberta", heads=HEADS, verify=verify)
    assert (tmp_path / "out" / "model.safetensors").read_bytes() == (
        tmp_path / "read" / "model.safetensors"
    ).read_bytes()


def test_a_recorded_trace_is_of_the_release_and_says_so(releases: Path, tmp_path: Path) -> None:
    source, folder = FIXTURES / "bert_2_2_8_8.params", str(releases / "gluonnlp-0.9.2")
    options = {"family": "bert", "heads": HEADS}
    trace = record(source, tmp_path / "t", dtype="float32", gluonnlp_version="0.9", gluonnlp=folder, **options)  # type: ignore[arg-type]
    assert (trace.provenance["gluonnlp"], trace.hyperparameters["scrambled_biases"]) == ("0.9.2", True)
    convert(source, tmp_path / "out", gluonnlp_version="0.9", **options)  # type: ignore[arg-type]
    report = verify(tmp_path / "t", tmp_path / "out")
    assert report, report.headline
    assert not [note for note in report.notes if "gluonnlp" in note and not note.startswith("recorded: ")]
    convert(source, tmp_path / "plain", **options)  # type: ignore[arg-type]
    report = verify(tmp_path / "t", tmp_path / "plain")
    assert [check.passed for check in report.checks] == [False, True, False, False]


def test_a_run_of_another_release_than_the_conversion_is_for_is_noted(releases: Path, tmp_path: Path) -> None:
    source = FIXTURES / "bert_2_2_8_8.params"
    convert(source, tmp_path / "out", family="bert", heads=HEADS)
    report = verify(source, tmp_path / "out", dtype="float32", gluonnlp=str(releases / "gluonnlp-0.9.2"))
    assert [check.passed for check in report.checks] == [True, True, False, False]
    assert report.notes[0] == (
        "gluonnlp 0.9.2 ran, which differs from what the conversion is for in scrambled_biases: "
        "convert with `gluonnlp_version='0.9.2'` if it trained the checkpoint, or run another with `gluonnlp=...`"
    )


def test_a_dtype_that_a_release_lacks_and_a_folder_without_gluonnlp_are_errors(releases: Path, tmp_path: Path) -> None:
    source = FIXTURES / "bert_2_2_8_8.params"
    for folder, dtype, message in (
        (
            releases / "gluonnlp-0.9.2",
            "float64",
            "gluonnlp 0.9.2 computes this network in float32 alone: choose `dtype='float32'`",
        ),
        (
            tmp_path,
            "float32",
            f"{tmp_path.resolve()}: holds no gluonnlp; expected a folder into which pip installed it",
        ),
    ):
        with pytest.raises(BackendError) as caught:
            run_release(source, folder, dtype=dtype)
        assert f"the live reference cannot be run: {message}" in str(caught.value)


def test_a_conversion_proves_itself_by_the_release_that_it_is_for(releases: Path, tmp_path: Path) -> None:
    source, out = str(FIXTURES / "distilbert_2_2_8_8.params"), str(tmp_path / "out")
    options = ["--family", "distilbert", "--heads", "2", "--producer", "0.9.2", "--verify", "--gluonnlp"]
    result = CliRunner().invoke(main, [source, out, *options, str(releases / "gluonnlp-0.9.2")])
    assert result.exit_code == 0, result.stderr
    assert "  float32: largest difference from the original " in result.stdout
    report = verify(source, out, gluonnlp=str(releases / "gluonnlp-0.9.2"))
    assert [run.dtype for run in report.runs] == ["float32"]
    assert report.notes[0] == "float64: not run, because the reference computes the model in float32 alone"


def test_an_unknown_release_is_refused(tmp_path: Path) -> None:
    (tmp_path / "gluonnlp").mkdir()
    (tmp_path / "gluonnlp" / "__init__.py").write_text("__version__ = '1.0.0'")
    with pytest.raises(BackendError, match=r"gluonnlp 1\.0\.0 is there, expected 0\.8\.x, 0\.9\.x, 0\.10\.x: others"):
        run_release(FIXTURES / "bert_2_2_8_8.params", tmp_path)


def test_a_trace_with_the_length_in_front_is_not_compared(releases: Path, tmp_path: Path) -> None:
    """A later release puts the length first in hidden states; a trace has the batch there."""
    bench = bench_of("distilbert", "0.10.0", releases, tmp_path)
    outputs = {name: array.swapaxes(0, 1) for name, array in bench.trace.outputs["float32"].items()}
    assert {array.shape for array in outputs.values()} == {(12, 4, 8)}
    turned = replace(bench, trace=replace(bench.trace, outputs={"float32": outputs}))
    with pytest.raises(IndexError):
        turned.compared("0.10")
