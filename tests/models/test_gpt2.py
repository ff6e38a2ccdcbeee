"""GPT-2, which differs from every model of GluonNLP's package: converted, loaded, and back."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from gluon_loading import inputs_of
from headers import header_of

from bort_convert import convert, export, load_pretrained, open_params, verify
from bort_convert.cli.text import conversion_text
from bort_convert.errors import BackendError, MappingError, OptionError
from bort_convert.mapping.fit import fit
from bort_convert.mapping.source_names import prefixed_names, structural_names
from bort_convert.model_dir.read import read_model_dir
from bort_convert.models.gpt2 import LANGUAGE_MODEL
from bort_convert.models.registry import families
from bort_convert.params import save_params
from bort_convert.safetensors import open_tensors, save_tensors
from bort_convert.verification.behaviour import Limits, check_behaviour
from bort_convert.verification.inputs import default_inputs
from bort_convert.verification.reference import LiveReference, fit_checkpoint, run_reference

if TYPE_CHECKING:
    from bort_convert.dtypes import Array

FIXTURE = Path(__file__).parents[2] / "fixtures" / "gpt2_2_3_48_12.params"
SCRIPT = Path(__file__).parents[1] / "support" / "gluon_loading.py"
WORDS, OUTPUT = "transformer.wte.weight", "lm_head.weight"
MASK, HIDING = "transformer.h.{}.attn.bias", "transformer.h.{}.attn.masked_bias"
POSITIONS = 12
CAUSAL = np.tri(POSITIONS)[None, None]


def converted(target: Path, suffix: str = "") -> Path:
    convert(FIXTURE.with_name(f"{FIXTURE.stem}{suffix}.params"), target, heads=3)
    return target


def source() -> dict[str, Array]:
    with open_params(FIXTURE) as params:
        return {name: array.copy() for name, array in params.items()}


def tensors_of(folder: Path) -> dict[str, Array]:
    with open_tensors(folder / "model.safetensors") as file:
        return {name: np.array(array) for name, array in file.items()}


def rewritten(folder: Path, tensors: dict[str, Array], **config: object) -> Path:
    """A directory without our manifest, with these tensors and config keys; None removes a key."""
    (folder / "model.safetensors").unlink()
    (folder / "conversion.json").unlink(missing_ok=True)
    save_tensors(folder / "model.safetensors", tensors, {"format": "pt"})
    changed = json.loads((folder / "config.json").read_text("utf-8")) | config
    without_none = {key: value for key, value in changed.items() if value is not None}
    (folder / "config.json").write_text(json.dumps(without_none), "utf-8")
    return folder


def assert_is_the_fixture(path: Path) -> None:
    with open_params(path) as found:
        assert found.keys() == source().keys()
        assert all(found[name].tobytes() == array.tobytes() for name, array in source().items())


def refusal(folder: Path) -> str:
    with pytest.raises(MappingError) as caught:
        export(folder, folder.with_name("back.params"), family="gpt2")
    (problem,) = caught.value.disagreements
    return problem


# Conversion


@pytest.mark.parametrize(
    ("variant", "sizes"), [("gpt2_117m", (12, 12, 768)), ("gpt2_345m", (24, 16, 1024))], ids=["117m", "345m"]
)
def test_the_config_is_the_published_one(variant: str, sizes: tuple[int, int, int]) -> None:
    layers, heads, hidden_size = sizes
    header = header_of(
        LANGUAGE_MODEL, {"vocab_size": 50257, "hidden_size": hidden_size, "max_positions": 1024, "layers": layers}
    )
    found = fit(header, families().values())
    assert (found.family.name, found.variant) == ("gpt2", variant)
    # openai-community/gpt2 and gpt2-medium on the Hub, but for the dropouts, of which GluonNLP's scripts have none; all
    # other keys have GPT2Config's defaults: feed-forward layers of four times n_embd, the usual scaling.
    assert found.config == {
        "architectures": ["GPT2LMHeadModel"],
        "model_type": "gpt2",
        "vocab_size": 50257,
        "n_positions": 1024,
        "n_embd": hidden_size,
        "n_layer": layers,
        "n_head": heads,
        "activation_function": "gelu_new",
        "layer_norm_epsilon": 1e-5,
        "embd_pdrop": 0.0,
        "attn_pdrop": 0.0,
        "resid_pdrop": 0.0,
        "initializer_range": 0.02,
        "bos_token_id": 50256,
        "eos_token_id": 50256,
        "tie_word_embeddings": True,
    }


def test_matrices_are_transposed_and_all_else_is_copied(tmp_path: Path) -> None:
    found, expected = tensors_of(converted(tmp_path / "out")), source()
    for ours, theirs in {
        "_self_attention_layers.1._multi_head_qkv_proj": "transformer.h.1.attn.c_attn",
        "_self_attention_layers.1._out_proj": "transformer.h.1.attn.c_proj",
        "_ffn_layers.1._hidden_map": "transformer.h.1.mlp.c_fc",
        "_ffn_layers.1._out_map": "transformer.h.1.mlp.c_proj",
    }.items():
        assert np.array_equal(found[f"{theirs}.weight"], expected[f"{ours}.weight"].T)
        assert np.array_equal(found[f"{theirs}.bias"], expected[f"{ours}.bias"])
    assert np.array_equal(found["transformer.wpe.weight"], expected["_pos_embed.weight"])
    assert OUTPUT not in found
    assert len(found) == len(expected) - 1


@pytest.mark.parametrize("suffix", ["-prefix", "-dedup"])
def test_every_naming_scheme_gives_the_same_files(suffix: str, tmp_path: Path) -> None:
    plain, other = converted(tmp_path / "plain"), converted(tmp_path / "other", suffix)
    for name in ("model.safetensors", "config.json"):
        assert (plain / name).read_bytes() == (other / name).read_bytes()


def test_half_precision_stays_half_precision(tmp_path: Path) -> None:
    whole, half = tensors_of(converted(tmp_path / "whole")), tensors_of(converted(tmp_path / "half", "-fp16"))
    assert all(half[name].tobytes() == array.astype(np.float16).tobytes() for name, array in whole.items())


def test_an_output_layer_that_is_not_tied_is_refused(tmp_path: Path) -> None:
    tensors = source()
    tensors["_logits_proj.weight"][7, 3] += 1
    save_params(tmp_path / "untied.params", tensors)
    with pytest.raises(MappingError, match=r"_logits_proj.weight: differs from _embed.weight in 1 of 480 values, fir"):
        convert(tmp_path / "untied.params", tmp_path / "out", heads=3)


@pytest.mark.parametrize(("name", "shape"), [("_hidden_map.bias", (24,)), ("_out_map.weight", (12, 24))])
def test_a_feed_forward_layer_that_is_not_four_times_as_wide_is_refused(
    name: str, shape: tuple[int, ...], tmp_path: Path
) -> None:
    save_params(tmp_path / "thin.params", source() | {f"_ffn_layers.0.{name}": np.zeros(shape, np.float32)})
    with pytest.raises(MappingError, match=r"axis '4\*hidden_size' is 24, expected 48 \(hidden_size=12 from _embed"):
        convert(tmp_path / "thin.params", tmp_path / "out", heads=3)


def test_the_printed_text_ends_with_the_call_that_loads_the_model(tmp_path: Path) -> None:
    *_, last = conversion_text(convert(FIXTURE, tmp_path / "out", heads=3), Path("out"))
    assert last == 'Load it with transformers.AutoModelForCausalLM.from_pretrained("out")'


def test_the_final_norm_has_the_number_of_the_last_layer_in_its_prefixed_name() -> None:
    names = list(header_of(LANGUAGE_MODEL, {"vocab_size": 5, "hidden_size": 4, "max_positions": 3, "layers": 12}))
    written = prefixed_names(names, LANGUAGE_MODEL, "gpt2")
    assert written["_final_ln.gamma"] == "gpt2model0_final_ln11_gamma"
    assert written["_ffn_layers.10._out_map.bias"] == "gpt2model0_ffn10_dense1_bias"
    assert written.keys() == {*names} - {"_logits_proj.weight"}
    for prefix in ("gpt2model0_", "gpt2model31_", ""):
        other = {name: each.replace("gpt2model0_", prefix) for name, each in written.items()}
        assert structural_names(other.values(), LANGUAGE_MODEL) == (other, [])


# The way back


@pytest.mark.parametrize("dtype", ["bool", "uint8", "float32"])
@pytest.mark.parametrize("bare", [False, True])
def test_a_directory_as_older_releases_wrote_it_comes_back(dtype: str, tmp_path: Path, *, bare: bool) -> None:
    tensors = tensors_of(converted(tmp_path / "out"))
    for layer in range(2):
        tensors[MASK.format(layer)] = CAUSAL.astype(dtype)
        tensors[HIDING.format(layer)] = np.array(-1e4, np.float32)
    if bare:  # the files of openai-community/gpt2 on the Hub
        tensors = {name.removeprefix("transformer."): array for name, array in tensors.items()}
    else:
        tensors[OUTPUT] = tensors[WORDS]
    stock = {"embd_pdrop": 0.1, "n_ctx": POSITIONS, "n_inner": None, "scale_attn_weights": True}
    manifest = export(rewritten(tmp_path / "out", tensors, **stock), tmp_path / "back.params")
    assert_is_the_fixture(tmp_path / "back.params")
    base = "" if bare else "transformer."
    assert manifest.left_out == ({} if bare else {OUTPUT: f"equals {WORDS}: tied"}) | {
        f"{base}h.{layer}.attn.{name}": "hides later tokens and holds no weights"
        for layer in range(2)
        for name in ("bias", "masked_bias")
    }
    assert manifest.notes == ("a checkpoint has no place for these of config.json: embd_pdrop 0.1",)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        (MASK, np.ones_like(CAUSAL)),
        (MASK, CAUSAL.transpose(0, 1, 3, 2)),
        (MASK, CAUSAL[..., :5, :5]),
        (MASK, CAUSAL[0, 0]),
        (MASK, np.array(1.0)),
        (HIDING, np.array(-1.0)),
        (HIDING, np.array(np.nan)),
        (HIDING, np.full(1, -1e9)),
    ],
)
def test_a_buffer_that_is_no_causal_mask_is_refused(name: str, values: Array, tmp_path: Path) -> None:
    tensors = tensors_of(converted(tmp_path / "out")) | {name.format(1): values.astype(np.float32)}
    problem = refusal(rewritten(tmp_path / "out", tensors))
    assert problem == (
        f"{name.format(1)}: holds other numbers, expected a mask that hides later tokens from each of {POSITIONS}, or "
        "a number that hides"
    )


def test_an_output_matrix_that_was_trained_apart_is_not_exported(tmp_path: Path) -> None:
    tensors = tensors_of(converted(tmp_path / "out"))
    tensors[OUTPUT] = tensors[WORDS] + 1
    assert refusal(rewritten(tmp_path / "out", tensors)).startswith(f"{OUTPUT}: differs from {WORDS} in 480 of 480 val")


@pytest.mark.parametrize(
    ("config", "problem"),
    [
        ({"scale_attn_weights": False}, "scale_attn_weights is False, expected True: GluonNLP has no such model"),
        ({"scale_attn_by_inverse_layer_idx": True}, "scale_attn_by_inverse_layer_idx is True, expected False"),
        ({"add_cross_attention": True}, "add_cross_attention is True, expected False"),
        ({"tie_word_embeddings": False}, "tie_word_embeddings is False, expected true"),
        ({"activation_function": "relu"}, "activation_function is 'relu', expected 'gelu_new' by GluonNLP's GPT-2"),
        ({"layer_norm_epsilon": 1e-6}, "layer_norm_epsilon is 1e-06, expected 1e-05 by GluonNLP's GPT-2"),
        ({"n_head": 5}, "n_head is 5, expected a number that divides hidden_size=12"),
        ({"n_embd": 16}, "n_embd is 16, expected 12 by the tensors"),
    ],
)
def test_a_config_that_gluonnlp_has_no_model_for_is_refused(
    config: dict[str, object], problem: str, tmp_path: Path
) -> None:
    out = converted(tmp_path / "out")
    assert refusal(rewritten(out, tensors_of(out), **config)).startswith(f"config.json: {problem}")


@pytest.mark.parametrize("size", [{"n_embd": 16}, {"n_layer": 3}, {"n_positions": 13}])
def test_a_directory_of_another_size_is_not_run(size: dict[str, int], tmp_path: Path) -> None:
    out = converted(tmp_path / "out")
    config = json.loads((out / "config.json").read_text("utf-8")) | size
    (out / "config.json").write_text(json.dumps(config), "utf-8")
    report = verify(FIXTURE.parent / "traces" / f"{FIXTURE.stem}.safetensors", out)
    assert report.checks[-1].detail == "not run: config.json has other sizes than the source"


# In transformers


@pytest.mark.torch
@pytest.mark.parametrize("suffix", ["", "-fp16"])
def test_transformers_loads_every_tensor_and_saves_the_same(suffix: str, tmp_path: Path) -> None:
    import transformers  # noqa: PLC0415

    out = converted(tmp_path / "out", suffix)
    model, info = transformers.AutoModelForCausalLM.from_pretrained(out, output_loading_info=True)
    assert not any(info[kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    assert model.lm_head.weight is model.transformer.wte.weight
    model.save_pretrained(tmp_path / "again")
    written, again = tensors_of(out), tensors_of(tmp_path / "again")
    assert {name: array.tobytes() for name, array in written.items()} == {
        name: array.tobytes() for name, array in again.items()
    }
    ours, theirs = (json.loads((folder / "config.json").read_text("utf-8")) for folder in (out, tmp_path / "again"))
    assert ours.pop("torch_dtype") == ours["dtype"]
    assert {key: theirs[key] for key in ours} == ours


@pytest.mark.torch
def test_the_model_card_names_the_task_and_its_snippet_runs(tmp_path: Path) -> None:
    card = (converted(tmp_path / "out") / "README.md").read_text("utf-8")
    assert "pipeline_tag: text-generation\n" in card
    assert "Neither a file nor a version of gluonnlp tells which" in card
    snippet = card.split("```python\n")[1].split("```")[0]
    command = [sys.executable, "-W", "error", "-c", snippet]
    process = subprocess.run(command, cwd=tmp_path / "out", capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stderr
    assert process.stdout.startswith("GPT2LMHeadModel(")


# In MXNet


def foreign_model(folder: Path) -> Any:  # noqa: ANN401 - transformers has no types
    """Save a model that transformers made: random values, biases and norms too."""
    import torch  # noqa: PLC0415
    import transformers  # noqa: PLC0415

    config = transformers.GPT2Config(vocab_size=40, n_positions=24, n_embd=12, n_layer=3, n_head=3, bos_token_id=0)
    config.eos_token_id = 0
    torch.manual_seed(1)
    model = transformers.GPT2LMHeadModel(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.2)
    model.save_pretrained(folder)
    return model


@pytest.mark.torch
@pytest.mark.mxnet
def test_a_model_that_transformers_made_runs_in_mxnet(tmp_path: Path) -> None:
    import torch  # noqa: PLC0415

    model, jobs = foreign_model(tmp_path / "theirs"), []
    for names in ("structural", "prefix"):
        path = tmp_path / f"{names}.params"
        assert export(tmp_path / "theirs", path, names=names).hyperparameters["attention_heads"] == 3
        size = (3, 3, 48, 12, 40, 24)
        jobs.append({"size": size, "kind": "gpt2", "names": names, "path": str(path), "out": f"{path}.npz"})
    (tmp_path / "jobs.json").write_text(json.dumps(jobs), "utf-8")
    command = [sys.executable, "-W", "ignore", str(SCRIPT), str(tmp_path / "jobs.json")]
    subprocess.run(command, check=True)
    ids, *_ = inputs_of(40)
    with torch.no_grad():
        expected = model(torch.tensor(ids).long()).logits.numpy()
    for job in jobs:
        with np.load(str(job["out"])) as found:
            assert np.abs(found["lm_logits"] - expected).max() < 1e-5
    convert(tmp_path / "structural.params", tmp_path / "again", heads=3)
    written, again = tensors_of(tmp_path / "theirs"), tensors_of(tmp_path / "again")
    assert {name: array.tobytes() for name, array in written.items()} == {
        name: array.tobytes() for name, array in again.items()
    }
    assert verify(tmp_path / "structural.params", tmp_path / "again", dtype="float64", attentions=True)


@pytest.mark.torch
@pytest.mark.mxnet
def test_the_exact_gelu_is_run_where_it_is_given(tmp_path: Path) -> None:
    out, fitted = converted(tmp_path / "out"), fit_checkpoint(FIXTURE, heads=3)
    exact = replace(fitted, hyperparameters={**fitted.hyperparameters, "hidden_act": "gelu"})
    inputs = default_inputs(fitted.plan.dims)
    trace = run_reference(LiveReference(FIXTURE, exact), inputs, dtypes=("float64",))
    result = check_behaviour(trace, read_model_dir(out), ("float64",), limits=Limits())
    assert not result.check.passed
    convert(FIXTURE, tmp_path / "exact", heads=3, hyperparameters={"activation": "gelu"})
    exact_out = read_model_dir(tmp_path / "exact")
    assert check_behaviour(trace, exact_out, ("float64",), limits=Limits()).check.passed
    assert load_pretrained(tmp_path / "exact").config.activation_function == "gelu"
    assert verify(FIXTURE, tmp_path / "exact", dtype="float64")
    export(tmp_path / "exact", tmp_path / "back.params")
    assert_is_the_fixture(tmp_path / "back.params")
    wrong = replace(fitted, hyperparameters={**fitted.hyperparameters, "hidden_act": "relu"})
    with pytest.raises(BackendError, match="cannot be run: hidden_act is 'relu', expected gelu or gelu_new"):
        run_reference(LiveReference(FIXTURE, wrong), inputs)


def test_a_size_with_another_vocabulary_is_no_published_one() -> None:
    family = families()["gpt2"]
    sizes = {**family.variants[0].dims, "vocab_size": 50000}  # KoGPT2's
    header = header_of(family.tables[0].rows, sizes)
    found = fit(header, [family])
    assert (found.variant, found.sizes_of) == ("", "gpt2_117m")
    assert found.assumed == ("attention_heads", "hidden_act", "layer_norm_eps")
    assert not {name for name in found.hyperparameters if name.endswith("_token_id")}
    chosen = fit(header, [family], heads=6, hyperparameters={"activation": "gelu"})
    assert (chosen.hyperparameters["attention_heads"], chosen.config["activation_function"]) == (6, "gelu")
    assert chosen.assumed == ("layer_norm_eps",)
    with pytest.raises(OptionError, match="vocab_size is 50000, expected 50257"):
        fit(header, [family], variant="gpt2_117m")
    published = fit(header_of(family.tables[0].rows, {**sizes, "vocab_size": 50257}), [family], variant="gpt2_117m")
    assert (published.variant, published.assumed) == ("gpt2_117m", ("bos_token_id", "eos_token_id"))
    with pytest.raises(OptionError, match="gpt2_117m has 12 attention heads"):
        fit(header_of(family.tables[0].rows, {**sizes, "vocab_size": 50257}), [family], heads=6)
