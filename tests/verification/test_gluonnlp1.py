"""GluonNLP 1.0: live on MXNet 1.9.1 where that runs it, else what was recorded with MXNet 2; errors are caught."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from errors_gluonnlp1 import ERRORS, FOLDER, LIVE, RECORDED, errors_of, options_of
from mutants import MARGIN, Bench, bench_of_gluonnlp1

from bort_convert import convert, verify
from bort_convert.errors import BackendError
from bort_convert.params import open_params, save_params
from bort_convert.verification.findings import BEHAVIOUR
from bort_convert.verification.reference import LiveReference, ReferenceOptions, fit_checkpoint, run_reference

if TYPE_CHECKING:
    from pathlib import Path

    from bort_convert.verification.report import Report

pytestmark = [pytest.mark.mxnet, pytest.mark.torch]

SHARP = ("bert", "electra", "albert", "t5")


@pytest.fixture(scope="module")
def benches() -> dict[str, Bench]:
    return {}


@pytest.fixture
def bench(
    request: pytest.FixtureRequest,
    benches: dict[str, Bench],
    gluonnlp1: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Bench:
    """A converted fixture and the outputs of its reference, live or recorded."""
    name: str = request.param
    if name not in benches:
        benches[name] = bench_of_gluonnlp1(tmp_path_factory.mktemp("bench"), name, gluonnlp1)
    return benches[name]


def assert_sharp(report: Report, name: str) -> None:
    """The verdict, and the bar of float64: relative to values above 1, which T5's hidden states are."""
    assert report.passed, report.headline
    (exact,) = (run for run in report.runs if run.dtype == "float64")
    bar = 1e-13 if name.startswith(SHARP) else 1e-11
    assert all(layer.max_abs <= bar * max(1.0, layer.largest) for layer in exact.layers)


@pytest.mark.parametrize("name", LIVE)
def test_a_conversion_agrees_with_gluonnlp_on_mxnet_1_9(name: str, gluonnlp1: str, tmp_path: Path) -> None:
    convert(FOLDER / f"{name}.params", tmp_path / "out", **options_of(name))
    report = verify(
        FOLDER / f"{name}.params", tmp_path / "out", mxnet_python=gluonnlp1, attentions=True, gradients=name in LIVE[:3]
    )
    assert_sharp(report, name)
    assert report.versions["gluonnlp"].startswith("autogluon_contrib_nlp")
    assert any(layer.name == "attention.1" for layer in report.runs[0].layers)


@pytest.mark.parametrize("name", RECORDED)
def test_a_conversion_agrees_with_what_mxnet_2_gave(name: str, tmp_path: Path) -> None:
    convert(FOLDER / f"{name}.params", tmp_path / "out", **options_of(name))
    report = verify(FOLDER / f"{name}.trace.safetensors", tmp_path / "out")
    assert_sharp(report, name)
    assert any(note.startswith("recorded: ") and "mxnet 2.0.0beta1" in note for note in report.notes)


def test_an_albert_of_two_groups_has_each_call_compared(gluonnlp1: str, tmp_path: Path) -> None:
    source = tmp_path / "albert.params"
    rng = np.random.default_rng(0)
    with open_params(FOLDER / "albert_pretrain.params") as params:
        arrays = {name: array.copy() for name, array in params.items()}
    second = {name.replace("groups.0.", "groups.1."): array for name, array in arrays.items() if "groups.0." in name}
    arrays |= {name: array + rng.normal(0, 0.1, array.shape).astype("float32") for name, array in second.items()}
    save_params(source, arrays)
    convert(source, tmp_path / "out", family="albert", heads=4, layers=4)
    report = verify(source, tmp_path / "out", mxnet_python=gluonnlp1)
    assert_sharp(report, "albert")
    assert [layer.name for layer in report.runs[0].layers if layer.name.startswith("layer")] == [
        f"layer.{number}" for number in range(4)
    ]
    bench = Bench(tmp_path / "bench", source, options={"family": "albert", "heads": 4, "layers": 4}, python=gluonnlp1)
    group = "albert.encoder.albert_layer_groups.{}.albert_layers.0."
    outcome = bench.try_out(exchanged(group.format(0), group.format(1)))
    assert {"bits", "behaviour"} <= outcome.caught_by
    assert "layers 0, 3" in outcome.details[BEHAVIOUR] or "layer 0" in outcome.details[BEHAVIOUR]


def exchanged(one: str, other: str) -> Any:  # noqa: ANN401 - a Mutant
    """Everything below two places exchanged."""
    from conversion_errors import Mutant  # noqa: PLC0415

    def mutate(to: Any) -> None:  # noqa: ANN401
        for name in [name for name in to.tensors if name.startswith(one)]:
            to.swap(name, name.replace(one, other))

    return Mutant("groups exchanged", mutate)


@pytest.mark.parametrize(
    ("bench", "mutant"),
    [(name, mutant) for name in ERRORS for mutant in errors_of(name)],
    indirect=["bench"],
    ids=lambda value: getattr(value, "name", value),
)
def test_each_error_is_caught_by_the_checks_that_should_see_it(bench: Bench, mutant: Any) -> None:  # noqa: ANN401
    outcome = bench.try_out(mutant)
    assert outcome.caught_by >= mutant.caught_by, outcome.details
    if BEHAVIOUR in mutant.caught_by:
        assert outcome.margin >= MARGIN


def test_an_older_roberta_without_its_head_runs_too(gluonnlp1: str, tmp_path: Path) -> None:
    source = tmp_path / "backbone.params"
    with open_params(FOLDER / "roberta_old.params") as params:  # the tied matrix has its last name there
        arrays = {name.replace("lm_head.dense2.weight", "tokens_embed.weight"): params[name] for name in params}
        save_params(source, {name: array for name, array in arrays.items() if not name.startswith("lm_head.")})
    convert(source, tmp_path / "out", family="roberta-1.0", heads=4)
    assert_sharp(verify(source, tmp_path / "out", mxnet_python=gluonnlp1, dtype="float64"), "roberta")


def test_what_mxnet_1_9_cannot_run_is_refused_with_the_way_out(gluonnlp1: str) -> None:
    source = FOLDER / "gpt2_lm.params"
    fit = fit_checkpoint(source, family="gpt2-1.0", heads=4)
    reference = LiveReference(source, fit, ReferenceOptions(mxnet_python=gluonnlp1))
    inputs = {"input_ids": np.zeros((1, 2), np.int64), "valid_length": np.array([2])}
    with pytest.raises(
        BackendError, match="autogluon_contrib_nlp has no GPT2Model: pass `mxnet_python`, an interpreter"
    ):
        run_reference(reference, inputs)
