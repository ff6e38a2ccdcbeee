"""The gradients check: every family trains alike in both frameworks, and a tensor that trains differently is named."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from click.testing import CliRunner

from bort_convert.cli import main
from bort_convert.commands.convert import convert
from bort_convert.dtypes import TensorSpec
from bort_convert.errors import OptionError
from bort_convert.mapping.planner import make_plan
from bort_convert.mapping.rows import fill, pad, rename, tied
from bort_convert.model_dir.read import read_model_dir
from bort_convert.params import open_params, save_params
from bort_convert.safetensors import open_tensors, save_tensors
from bort_convert.verification import verify
from bort_convert.verification.gradient_differences import LEAST_RANGE, collapsed, compare_gradients
from bort_convert.verification.gradients import check_gradients, default_cotangents, run_backwards
from bort_convert.verification.inputs import inputs_for
from bort_convert.verification.reference import LiveReference, fit_checkpoint, run_reference
from bort_convert.verification.render import to_html
from bort_convert.verification.trace import Trace

if TYPE_CHECKING:
    from collections.abc import Callable

    from bort_convert.dtypes import Array
    from bort_convert.mapping.fit import Fit
    from bort_convert.verification.compare import Run
    from bort_convert.verification.gradient_differences import Parameters
    from bort_convert.verification.gradients import GradientsResult
    from bort_convert.verification.report import Report

FIXTURES = Path(__file__).parents[2] / "fixtures"
FORMS = (
    *(f"bort_2_3_24_24{form}" for form in ("", "-classifier3", "-encoder", "-regression", "-dedup", "-prefix")),
    *(f"bert_2_2_8_8{form}" for form in ("", "-classifier3", "-pooled", "-prefix", "-regression", "-spans", "-tags5")),
    *(f"ernie_2_2_8_8{form}" for form in ("", "-classifier3", "-pooled")),
    *(f"roberta_2_2_8_8{form}" for form in ("", "-classifier3", "-encoder", "-regression")),
    *(f"gpt2_2_3_48_12{form}" for form in ("", "-fp16")),
    *(f"xlnet_2_2_8_8{form}" for form in ("", "-answers", "-encoder", "-unmasked")),
    "bert_2_2_8_8-no_next_sentence",
    "distilbert_2_2_8_8",
)
ROWS = (
    rename("words", "words", "vocab_size hidden_size"),
    tied("output", tied_to="words", axes="vocab_size hidden_size", why="tied"),
    pad("positions", "positions", "max_positions hidden_size", rows=1, why="counted from one"),
    fill("types", "1 hidden_size", 0.0, why="there is none"),
    rename("bias", "bias", "hidden_size"),
)
SHAPES = {"words": (9, 4), "positions": (3, 4), "bias": (4,)}
PLAN = make_plan(
    ROWS, {name: TensorSpec(name, "float32", shape) for name, shape in {**SHAPES, "output": (9, 4)}.items()}
)


def failed(report: Report) -> list[str]:
    return [check.name for check in report.checks if not check.passed]


def largest_in_ranges(run: Run) -> float:
    """The largest difference of a run, relative to the tensor's range."""
    model = max(tensor.largest for tensor in run.layers)
    return max(tensor.max_abs / max(tensor.largest, LEAST_RANGE * model) for tensor in run.layers)


# ---- by hand, without a framework


def example(**changes: Array) -> tuple[Trace, dict[str, Array]]:
    """A reference in float64, and torch's gradients of the same, but for the changes."""
    rng = np.random.default_rng(3)
    gradients = {name: rng.standard_normal(shape) for name, shape in SHAPES.items()}
    padded = np.concatenate([np.zeros((1, 4)), gradients["positions"]])
    target = {"words": gradients["words"], "positions": padded, "bias": gradients["bias"], "types": np.ones((1, 4))}
    trace = Trace({}, {}, {}, {"float64": {**gradients, "output": gradients["words"]}})
    return trace, {**target, **changes}


def compared(trace: Trace, target: dict[str, Array], **options: Any) -> Run:  # noqa: ANN401 - as they are taken
    parameters = {("words", "tied"): target["words"]} | {(name,): a for name, a in target.items() if name != "words"}
    (run,) = compare_gradients(PLAN, trace, {"float64": parameters}, **options)
    return run


def failures(run: Run) -> dict[str, str]:
    return {tensor.name: tensor.problem or tensor.cause for tensor in run.failures}


def test_tensors_are_compared_last_first_and_aliases_behind_their_originals() -> None:
    run = compared(*example())
    assert [tensor.name for tensor in run.layers] == ["bias", "positions", "words", "output"]
    assert run.passed
    assert largest_in_ranges(run) == 0


def test_each_cause_is_in_the_message() -> None:
    trace, target = example()
    words = target["words"]
    row = words.copy()
    row[5] = 0
    rows = row.copy()
    rows[7] += 1e-9
    for changed, cause in (
        (np.zeros_like(words), "torch does not train it"),
        (2 * words, "torch's is 2 times GluonNLP's"),
        (-0.5 * words, "torch's is -0.5 times GluonNLP's"),
        (row, "only row 5 of 9 differs"),
        (rows, "only rows 5, 7 of 9 differ"),
        (np.flip(words), ""),
    ):
        assert failures(compared(*example(words=changed))) == {"words": cause, "output": cause}
    silent = replace(trace, gradients={"float64": {**trace.gradients["float64"], "bias": np.zeros(4)}})
    assert failures(compared(silent, target)) == {"bias": "GluonNLP does not train it"}


def test_a_difference_is_measured_by_the_tensor_and_where_terms_cancel_by_the_model() -> None:
    trace, target = example()
    largest = max(np.abs(array).max() for array in trace.gradients["float64"].values())
    limit = 1e-11 * np.abs(target["bias"]).max()
    assert compared(*example(bias=target["bias"] + 0.9 * limit)).passed
    assert not compared(*example(bias=target["bias"] + 1.1 * limit)).passed
    tiny = np.full(4, 1e-15)
    vanishing = replace(trace, gradients={"float64": {**trace.gradients["float64"], "bias": tiny}})
    assert compared(vanishing, {**target, "bias": -tiny}).passed
    assert compared(vanishing, {**target, "bias": np.full(4, 0.9e-13 * largest)}).passed
    assert not compared(vanishing, {**target, "bias": np.full(4, 1.1e-13 * largest)}).passed


def test_a_parameter_or_row_that_no_tensor_of_the_checkpoint_shows_comes_first() -> None:
    trace, target = example()
    run = compared(trace, {**target, "apart": np.array([0.25, -0.5]), "idle": np.zeros(2)}, frozen={"words": 5})
    assert failures(run) == {
        "apart": "torch trains it (gradient up to 0.5), and the checkpoint has no such tensor",
        "words": "torch freezes row 5 (padding_idx), and GluonNLP trains it",
    }
    assert [tensor.name for tensor in run.layers][:2] == ["apart", "words"]


def test_a_gradient_that_cannot_be_compared_fails() -> None:
    _, target = example()
    nan = target["bias"].copy()
    nan[2] = np.nan
    text = "1 of 4 values of the target are not finite, the first at (index 2)"
    assert failures(compared(*example(bias=nan))) == {"bias": text}
    trace, target = example()
    (run,) = compare_gradients(PLAN, trace, {"float64": {}})
    assert set(failures(run).values()) == {"torch does not train it"}
    fewer = replace(trace, gradients={"float64": {"words": target["words"], "output": target["words"]}})
    assert set(failures(compared(fewer, target))) == {"bias", "positions"}


def test_float32_is_measured_by_the_noise_floors_too_where_they_are_known() -> None:
    trace, target = example()
    noisy = {name: array.astype(np.float32) for name, array in trace.gradients["float64"].items()}
    noisy["bias"] = noisy["bias"] + np.float32(0.25)  # as when relu's unit is on in one precision alone
    both = replace(trace, gradients={**trace.gradients, "float32": noisy})
    parameters = {(name,): array for name, array in target.items()}
    found = {"float32": {names: array.astype(np.float32) for names, array in parameters.items()}, "float64": parameters}
    single, sharp = compare_gradients(PLAN, both, found)
    assert (single.passed, sharp.passed) == (True, True)
    (bias,) = [tensor for tensor in single.layers if tensor.name == "bias"]
    assert np.isclose(bias.floors["mxnet"], 0.25)
    assert bias.limit >= bias.max_abs > 1e-3 * bias.largest
    (alone,) = compare_gradients(PLAN, both, {"float32": found["float32"]})
    assert set(failures(alone)) == {"bias"}
    wrong = {dtype: {**arrays, ("bias",): arrays["bias",] + 100} for dtype, arrays in found.items()}
    assert [set(failures(run)) for run in compare_gradients(PLAN, both, wrong)] == [{"bias"}, {"bias"}]


def test_layers_are_taken_together_in_names() -> None:
    names = [f"encoder.cells.{number}.ffn.ffn_1.bias" for number in (0, 1, 2, 11)]
    assert collapsed([*names, "decoder.3.bias", "pooler.bias"]) == (
        "decoder.3.bias, encoder.cells.0-2, 11.ffn.ffn_1.bias, pooler.bias"
    )


def test_cotangents_are_zero_at_padding_and_the_same_in_either_precision() -> None:
    fit = fit_checkpoint(FIXTURES / "bert_2_2_8_8-classifier3.params", family="bert", heads=2)
    inputs = inputs_for(fit)
    found = default_cotangents(inputs, fit, attentions=True)
    assert {name.removeprefix("cotangents/") for name in found} == {
        *("embeddings", "layer.0", "layer.1", "final_norm", "attention.0", "attention.1"),
        *("pooled", "next_sentence", "sentence_order", "logits", "span_logits", "tag_logits", "replaced_logits"),
        *("no_answer", "mlm_logits", "lm_logits"),
    }
    valid = np.arange(12) < inputs["valid_length"][:, None]
    for name in ("embeddings", "layer.1", "final_norm", "span_logits", "tag_logits", "attention.0"):
        cotangent = found[f"cotangents/{name}"]
        assert not cotangent[~valid].any()
        assert (cotangent[valid] != 0).all()
        assert (cotangent == cotangent.astype(np.float32)).all()
    assert found["cotangents/logits"].shape == (4, 3)
    assert found["cotangents/attention.0"].shape == (4, 12, 2, 12)
    again = default_cotangents(inputs, fit, seed=1)
    assert not np.array_equal(found["cotangents/layer.0"], again["cotangents/layer.0"])


# ---- live


def converted(name: str, folder: Path) -> tuple[Path, Path]:
    """A fixture and its conversion; the fixture's name has the family and the number of heads."""
    family, _, heads, *_ = name.split("_")
    convert(FIXTURES / f"{name}.params", folder / "out", family=family, heads=int(heads))
    return FIXTURES / f"{name}.params", folder / "out"


@pytest.mark.mxnet
@pytest.mark.torch
@pytest.mark.parametrize("name", FORMS)
def test_every_family_trains_alike(name: str, tmp_path: Path) -> None:
    report = verify(*converted(name, tmp_path), gradients=True)
    assert report, report.headline
    assert report.checks[-1].name == "gradients"
    family, _, heads, *_ = name.split("_")
    names = set(fit_checkpoint(FIXTURES / f"{name}.params", family=family, heads=int(heads)).names)
    names -= {"_net.pos_embed.inv_freq", "xlnet._net.pos_embed.inv_freq"}
    assert {run.dtype: {tensor.name for tensor in run.layers} for run in report.gradients} == dict.fromkeys(
        ("float32", "float64"), names
    )
    single, double = report.gradients
    assert largest_in_ranges(double) < 1e-12
    assert 1e-8 < largest_in_ranges(single) < 1e-4
    assert all(tensor.floor is not None and tensor.count for tensor in single.layers)


@pytest.mark.mxnet
@pytest.mark.torch
@pytest.mark.parametrize("name", ["bort_2_3_24_24", "gpt2_2_3_48_12", "xlnet_2_2_8_8"])
def test_attention_probabilities_take_part_where_they_are_compared(name: str, tmp_path: Path) -> None:
    paths = converted(name, tmp_path)
    plain, more = (verify(*paths, dtype="float64", gradients=True, attentions=kept) for kept in (False, True))
    assert more, more.headline
    sizes = [{tensor.name: tensor.largest for tensor in report.gradients[0].layers} for report in (plain, more)]
    assert sizes[0] != sizes[1]


@pytest.mark.mxnet
@pytest.mark.torch
@pytest.mark.parametrize(("family", "version"), [("bert", "0.9.2"), ("roberta", "0.10.0")])
def test_later_versions_of_gluonnlp_train_alike_in_the_precision_that_they_have(
    family: str, version: str, releases: Path, tmp_path: Path
) -> None:
    source = FIXTURES / f"{family}_2_2_8_8.params"
    convert(source, tmp_path / "out", family=family, heads=2, gluonnlp_version=version)
    report = verify(source, tmp_path / "out", gradients=True, gluonnlp=str(releases / f"gluonnlp-{version}"))
    assert report, report.headline
    (run,) = report.gradients
    assert run.dtype == "float32"
    assert largest_in_ranges(run) < 1e-4


@dataclass(frozen=True)
class Bench:
    """A converted fixture, its plan, and the reference's gradients in float64."""

    source: Path
    target: Path
    fit: Fit
    trace: Trace

    def model(self) -> Any:  # noqa: ANN401 - transformers has no types
        from bort_convert.verification import torch_run  # noqa: PLC0415 - torch is loaded when it is needed

        directory = read_model_dir(self.target)
        model = torch_run.load_model(directory, "float64")
        torch_run.apply_module_overrides(model, directory.module_overrides, as_float32=True)
        return model

    def compare(self, found: Parameters) -> dict[str, str]:
        (run,) = compare_gradients(self.fit.plan, self.trace, {"float64": found})
        return failures(run)

    def check(self, target: Path) -> GradientsResult:
        return check_gradients(self.trace, read_model_dir(target), self.fit.plan, ("float64",))


def bench_of(name: str, folder: Path) -> Bench:
    source, target = converted(name, folder)
    family, _, heads, *_ = name.split("_")
    fit = fit_checkpoint(source, family=family, heads=int(heads))
    inputs = inputs_for(fit)
    inputs |= default_cotangents(inputs, fit)
    return Bench(source, target, fit, run_reference(LiveReference(source, fit), inputs, dtypes=("float64",)))


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return bench_of("bort_2_3_24_24", tmp_path_factory.mktemp("bench"))


@pytest.fixture
def copy(bench: Bench, tmp_path: Path) -> Path:
    shutil.copytree(bench.target, tmp_path / "out")
    return tmp_path / "out"


def edit(path: Path, **changes: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


@pytest.mark.mxnet
@pytest.mark.torch
def test_gradients_are_those_of_the_sum_that_the_cotangents_say(bench: Bench, tmp_path: Path) -> None:
    """By differences of GluonNLP's own outputs, along a random direction of every tensor at once."""
    with open_params(bench.source) as params:
        values = {name: array.astype(np.float64) for name, array in params.items()}
    rng = np.random.default_rng(0)
    direction = {name: rng.standard_normal(array.shape) for name, array in values.items()}
    direction["decoder.3.weight"] = direction["word_embed.0.weight"]
    sums = []
    for step in (1e-6, -1e-6):
        moved = {name: array + step * direction[name] for name, array in values.items()}
        save_params(tmp_path / "moved.params", moved)
        fit = fit_checkpoint(tmp_path / "moved.params", family="bort", heads=3)
        reference = LiveReference(tmp_path / "moved.params", fit)
        outputs = run_reference(reference, bench.trace.inputs, dtypes=("float64",)).outputs
        sums.append(sum(np.vdot(bench.trace.cotangents[name], array) for name, array in outputs["float64"].items()))
        (tmp_path / "moved.params").unlink()
    gradients = bench.trace.gradients["float64"]
    expected = sum(np.vdot(gradients[name], direction[name]) for name in values if name != "decoder.3.weight")
    assert np.isclose((sums[0] - sums[1]) / 2e-6, expected, rtol=1e-6)


def detached(_module: object, _inputs: object, output: Any) -> Any:  # noqa: ANN401 - a hook's
    return (output[0].detach(), *output[1:]) if isinstance(output, tuple) else output.detach()


def without_recording(module: Any) -> None:  # noqa: ANN401 - torch's
    import torch  # noqa: PLC0415 - as above

    forward = module.forward
    module.forward = torch.no_grad()(forward)


def untied(model: Any) -> None:  # noqa: ANN401 - as above
    import torch  # noqa: PLC0415 - as above

    decoder = model.cls.predictions.decoder
    decoder.weight = torch.nn.Parameter(decoder.weight.detach().clone())


LAYER = "encoder.transformer_cells.{}.ffn.layer_norm.beta"
NOT_TRAINED = "torch does not train it"
MUTANTS: dict[str, tuple[Callable[[Any], object], str, str, int]] = {
    "output matrix untied": (
        untied,
        "cls.predictions.decoder.weight",
        "torch trains it (gradient up to 40), and the checkpoint has no such tensor",
        3,
    ),
    "a row frozen": (
        lambda model: setattr(model.bert.embeddings.word_embeddings, "padding_idx", 4),
        "word_embed.0.weight",
        "only row 4 of 120 differs",
        2,
    ),
    "a layer detached": (
        lambda model: model.bert.encoder.layer[0].register_forward_hook(detached),
        LAYER.format(0),
        NOT_TRAINED,
        20,
    ),
    "a layer without gradients": (
        lambda model: without_recording(model.bert.encoder.layer[1]),
        LAYER.format(1),
        NOT_TRAINED,
        35,
    ),
    "embeddings detached": (
        lambda model: model.bert.embeddings.register_forward_hook(detached),
        "encoder.layer_norm.beta",
        NOT_TRAINED,
        5,
    ),
    "one tensor frozen": (
        lambda model: model.bert.encoder.layer[0].output.LayerNorm.weight.requires_grad_(False),  # noqa: FBT003 - torch's
        "encoder.transformer_cells.0.ffn.layer_norm.gamma",
        NOT_TRAINED,
        1,
    ),
    "dropout left on": (lambda model: model.bert.encoder.layer[1].train(), "decoder.2.beta", "", 38),
}


@pytest.mark.mxnet
@pytest.mark.torch
@pytest.mark.parametrize("mutant", MUTANTS)
def test_what_trains_differently_is_named(bench: Bench, mutant: str) -> None:
    mutate, first, cause, count = MUTANTS[mutant]
    model = bench.model()
    mutate(model)
    found = bench.compare(run_backwards(model, bench.trace, "float64"))
    if mutant == "dropout left on":  # at random, so that a tensor in front of the layer may or may not differ
        assert len(found) > count / 2
        assert "encoder.transformer_cells.1.ffn.ffn_2.weight" in found
        return
    assert next(iter(found.items())) == (first, cause)
    assert len(found) == count


@pytest.mark.mxnet
@pytest.mark.torch
@pytest.mark.parametrize(
    ("name", "matrix", "layers", "first_of_layer_0"),
    [
        ("gpt2_2_3_48_12", "lm_head", "transformer.h", "_ffn_layers.0._out_map.bias"),
        ("roberta_2_2_8_8", "lm_head.decoder", "roberta.encoder.layer", LAYER.format(0)),
        ("xlnet_2_2_8_8", "lm_loss", "transformer.layer", "_net.transformer_cells.0.ffn.layer_norm.beta"),
    ],
)
def test_other_families_are_named_alike(
    name: str, matrix: str, layers: str, first_of_layer_0: str, tmp_path: Path
) -> None:
    import torch  # noqa: PLC0415 - as above

    bench = bench_of(name, tmp_path)
    model = bench.model()
    model.get_submodule(matrix).weight = torch.nn.Parameter(model.get_submodule(matrix).weight.detach().clone())
    first, cause = next(iter(bench.compare(run_backwards(model, bench.trace, "float64")).items()))
    assert first == f"{matrix}.weight"
    assert cause.startswith("torch trains it (gradient up to ")
    model = bench.model()
    model.get_submodule(f"{layers}.0").register_forward_hook(detached)
    found = bench.compare(run_backwards(model, bench.trace, "float64"))
    assert next(iter(found.items())) == (first_of_layer_0, NOT_TRAINED)
    inputs = {key: array / 4 if "cotangents/" in key else array for key, array in bench.trace.inputs.items()}
    found = bench.compare(run_backwards(bench.model(), replace(bench.trace, inputs=inputs), "float64"))
    assert set(found.values()) == {"torch's is 0.25 times GluonNLP's"}


@pytest.mark.mxnet
@pytest.mark.torch
def test_a_scaled_loss_is_the_cause_of_every_difference(bench: Bench) -> None:
    inputs = {name: 2 * array if "cotangents/" in name else array for name, array in bench.trace.inputs.items()}
    found = bench.compare(run_backwards(bench.model(), replace(bench.trace, inputs=inputs), "float64"))
    assert set(found.values()) == {"torch's is 2 times GluonNLP's"}
    assert len(found) == 40  # every tensor but the biases of both keys


@pytest.mark.mxnet
@pytest.mark.torch
def test_a_model_without_one_of_the_outputs_is_not_run(bench: Bench, copy: Path) -> None:
    with open_tensors(copy / "model.safetensors") as file:
        kept = {name.removeprefix("bert."): array.copy() for name, array in file.items() if name.startswith("bert.")}
    (copy / "model.safetensors").unlink()
    save_tensors(copy / "model.safetensors", kept, {"format": "pt"})
    edit(copy / "config.json", architectures=["BertModel"])
    edit(copy / "conversion.json", tensors={})
    assert bench.check(copy).check.detail == "not run: the model has no output mlm_logits"


@pytest.mark.mxnet
@pytest.mark.torch
def test_a_matrix_saved_untied_behaves_the_same_and_trains_differently(tmp_path: Path) -> None:
    source, target = converted("gpt2_2_3_48_12", tmp_path)
    with open_tensors(target / "model.safetensors") as file:
        tensors = {name: array.copy() for name, array in file.items()}
    tensors["lm_head.weight"] = tensors["transformer.wte.weight"]
    (target / "model.safetensors").unlink()
    save_tensors(target / "model.safetensors", tensors, {"format": "pt"})
    edit(target / "config.json", tie_word_embeddings=False)
    report = verify(source, target, dtype="float64", gradients=True)
    assert failed(report) == ["names and shapes", "gradients"]  # the first by the key of config.json alone
    assert report.checks[-1].detail == (
        "lm_head.weight: torch trains it (gradient up to 20), and the checkpoint has no such tensor; "
        "_embed.weight, _logits_proj.weight differ too (float64)"
    )


@pytest.mark.mxnet
@pytest.mark.torch
@pytest.mark.parametrize("row", [5, 4])
def test_another_padding_id_freezes_another_row(bench: Bench, copy: Path, row: int) -> None:
    """Row 5 is of no token of the inputs, so that no gradient shows it."""
    edit(copy / "config.json", pad_token_id=row)
    name = "bert.embeddings.word_embeddings.weight"
    also = "; decoder.3.weight, word_embed.0.weight differ too" if row == 4 else ""
    assert bench.check(copy).check.detail == (
        f"{name}: torch freezes row {row} (padding_idx), and GluonNLP trains it{also} (float64)"
    )


@pytest.mark.mxnet
@pytest.mark.torch
def test_the_padding_row_matters_where_its_token_stands_among_the_others_alone(bench: Bench) -> None:
    stock = bench.compare(run_backwards(bench.model(), bench.trace, "float64", stock_padding=True))
    assert stock == dict.fromkeys(("word_embed.0.weight", "decoder.3.weight"), "only row 1 of 120 differs")
    inputs = dict(bench.trace.inputs)
    valid = np.arange(inputs["input_ids"].shape[1]) < inputs["valid_length"][:, None]
    inputs["input_ids"] = np.where(valid & (inputs["input_ids"] == 1), 7, inputs["input_ids"])
    assert (inputs["input_ids"] == 1).any()
    reference = LiveReference(bench.source, bench.fit)
    trained = replace(bench, trace=run_reference(reference, inputs, dtypes=("float64",)))
    assert trained.compare(run_backwards(bench.model(), trained.trace, "float64", stock_padding=True)) == {}


@pytest.mark.mxnet
@pytest.mark.torch
def test_notes_name_the_settings_of_torch_and_the_tensors_that_one_side_alone_trains(bench: Bench) -> None:
    frozen, slope, types, vanishing = bench.check(bench.target).notes
    assert frozen.startswith(
        "float64: word_embed.0.weight: the stock class freezes row 1, the padding token's, and here"
    )
    assert ", only row 1 of 120 differs. Inputs with that token at padding alone train both alike" in frozen
    assert slope.startswith("float64: MXNet's erf has the slope 1.12837913319780")
    assert 1e-9 < float(slope.split("up to ")[1].split(" ")[0]) < 1e-7
    name = "bert.embeddings.token_type_embeddings.weight"
    assert types.startswith(
        f"{name}: initialised (Bort has no segment embedding), and torch trains it: a gradient up to "
    )
    assert vanishing.startswith("encoder.transformer_cells.0-1.attention_cell.proj_key.bias: the gradient vanishes: at")


@pytest.mark.mxnet
@pytest.mark.torch
def test_the_padding_row_is_that_of_the_conversion_and_not_of_the_family(tmp_path: Path) -> None:
    source = FIXTURES / "roberta_2_2_8_8.params"
    convert(source, tmp_path / "out", family="roberta", heads=2, hyperparameters={"pad_token_id": 3})
    report = verify(source, tmp_path / "out", dtype="float64", gradients=True)
    assert report, report.headline
    (frozen,) = [note for note in report.notes if "freezes row" in note]
    assert "word_embed.0.weight: the stock class freezes row 3" in frozen
    assert "only row 3 of 40 differs" in frozen


@pytest.mark.mxnet
@pytest.mark.torch
def test_constants_are_left_out_and_unused_tensors_vanish(tmp_path: Path) -> None:
    report = verify(*converted("xlnet_2_2_8_8", tmp_path), gradients=True)
    assert "_net.pos_embed.inv_freq: left out (it is computed), so no gradient was compared" in report.notes
    (vanishing,) = [note for note in report.notes if "vanishes" in note]
    assert vanishing.startswith("_net.mask_embed: the gradient vanishes: at most 0, where the model's largest is ")


@pytest.mark.mxnet
@pytest.mark.torch
@pytest.mark.report
def test_the_command_line_reports_gradients(bench: Bench, tmp_path: Path) -> None:
    command = ["verify", str(bench.source), str(bench.target), "--gradients", "--dtype", "float64"]
    result = CliRunner().invoke(main, [*command, "--report", str(tmp_path / "report.md")])
    assert result.exit_code == 0, result.output
    assert "\nPASS  gradients         float64: 42 tensors, 14,544 values, nearest to its limit " in result.stdout
    assert "\nfloat64 gradients, the 12 of 42 tensors nearest to their limits\n" in result.stdout
    assert "### float64 gradients, the 12 of 42 tensors" in (tmp_path / "report.md").read_text()
    assert "float64 gradients, the 12 of 42 tensors" in to_html(verify(bench.source, bench.target, gradients=True))
    document = json.loads(CliRunner().invoke(main, [*command, "--json"]).stdout)
    (run,) = document["gradients"]
    assert (run["dtype"], len(run["tensors"])) == ("float64", 42)
    assert {"name": "decoder.2.beta", "passed": True, "cause": ""}.items() <= run["tensors"][0].items()


@pytest.mark.mxnet
def test_a_trace_has_no_gradients(recorded: Path, request: pytest.FixtureRequest) -> None:
    with pytest.raises(OptionError, match="a recorded trace has none; verify with the checkpoint in its place"):
        verify(recorded, request.getfixturevalue("converted"), gradients=True)
