from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from borts import FULL, Size, write_bort
from mutants import scaled

from bort_convert.commands.convert import convert
from bort_convert.errors import BackendError, FormatError, InputError, OptionError
from bort_convert.safetensors import open_tensors, save_tensors
from bort_convert.verification import ReferenceOptions, Report, is_trace, load_trace, record, verify

if TYPE_CHECKING:
    from pathlib import Path

    from bort_convert.arguments import RunDtype

pytestmark = [pytest.mark.mxnet, pytest.mark.torch]


@pytest.fixture
def copy(converted: Path, tmp_path: Path) -> Path:
    shutil.copytree(converted, tmp_path / "out")
    return tmp_path / "out"


def spoil(target: Path, name: str, *index: int, by: float = 1.0) -> None:
    with open_tensors(target / "model.safetensors") as file:
        tensors = {key: array.copy() for key, array in file.items()}
    tensors[name][index] += by
    (target / "model.safetensors").unlink()
    save_tensors(target / "model.safetensors", tensors, {"format": "pt"})


def edit(path: Path, **changes: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def verdicts(report: Report) -> dict[str, bool]:
    return {check.name: check.passed for check in report.checks}


@pytest.mark.parametrize("head", ["mlm", "", "3", "1"])
def test_a_live_run_agrees_in_both_precisions(tmp_path: Path, head: str) -> None:
    source = write_bort(tmp_path / "bort.params", head=head)
    convert(source, tmp_path / "out", family="bort", heads=4)
    progress: list[str] = []
    report = verify(source, tmp_path / "out", attentions=True, progress=progress.append)
    assert report, report.headline
    assert verdicts(report) == {"names and shapes": True, "bits": True, "behaviour": True, "as used": True}
    expected = ["embeddings", *(f"{kind}.{layer}" for layer in range(3) for kind in ("attention", "layer"))]
    expected += {"mlm": ["mlm_logits"], "": []}.get(head, ["logits"])
    assert [run.dtype for run in report.runs] == ["float32", "float64"]
    for run in report.runs:
        assert [layer.name for layer in run.layers] == expected
    assert all(layer.max_abs < 1e-12 for layer in report.layers)
    assert {"mxnet", "gluonnlp", "torch", "transformers"} <= set(report.versions)
    assert report.lengths == (16, 1, 14, 11)
    assert "running in float64" in progress
    assert report.headline == "PASS out is bort.params: names and shapes, bits, behaviour, as used"
    assert report.peak_mb > 1


@pytest.mark.parametrize(("family", "counted"), [("roberta", True), ("bert", False)])
def test_a_note_measures_the_positions_of_a_class_that_counts_its_own(
    family: str, fixtures: Path, tmp_path: Path, *, counted: bool
) -> None:
    convert(fixtures / f"{family}_2_2_8_8.params", tmp_path / "out", family=family, heads=2)
    report = verify(fixtures / "traces" / f"{family}_2_2_8_8.safetensors", tmp_path / "out")
    assert report, report.headline
    notes = [note for note in report.notes if "torch is given the positions" in note]
    assert len(notes) == counted
    for note in notes:
        assert "the stock class does not count the padding id 1, and with one among the tokens max |d| is " in note
        assert float(note.rpartition(" ")[2]) > 1


def test_the_notes_have_the_numbers_of_the_stock_class(bort: Path, converted: Path) -> None:
    report = verify(bort, converted)
    stock, double, single = report.notes
    assert "torch is given 9.999999747378752e-06; with 1e-05, as config.json has it, max |d| is " in stock
    assert 1e-13 < float(stock.rsplit(" ", 1)[1]) < 1e-9
    for note, dtype in ((double, "float64"), (single, "float32")):
        assert note.startswith(
            f"{dtype}: the config has no place for the head's LayerNorm epsilon, 1e-12, which load_pr"
        )
        with_it, without_it = note.split("mlm_logits max |d| ")[1].split(" with it, ")
        assert float(with_it) < (1e-12 if dtype == "float64" else 1e-4)
        assert 1e-6 < float(without_it.split(" ")[0]) < 1e-3


@pytest.mark.parametrize("dtype", ["both", "float32"])
def test_deep_models_with_large_weights_pass_by_the_floor_of_the_reference(tmp_path: Path, dtype: RunDtype) -> None:
    size = Size(layers=24, attention_heads=4, intermediate_size=256, hidden_size=64, vocab_size=300, max_positions=32)
    source = scaled(write_bort(tmp_path / "deep.params", size), tmp_path / "large.params", 4)
    convert(source, tmp_path / "out", family="bort", heads=4)
    report = verify(source, tmp_path / "out", dtype=dtype)
    assert report, report.headline
    beyond = [layer for layer in report.runs[0].layers if layer.max_abs > 3e-5]
    assert beyond
    assert {layer.limit_by for layer in beyond} == {"floor"}
    assert any(note.startswith("float32: the limit of ") for note in report.notes)
    assert not verify(source, tmp_path / "out", dtype=dtype, atol=3e-5)


def test_a_trace_gives_the_same_verdict_without_mxnet(bort: Path, converted: Path, recorded: Path) -> None:
    live, later = verify(bort, converted, attentions=True), verify(recorded, converted, mxnet_python="/nowhere")
    assert live
    assert later
    assert [[layer.max_abs for layer in run.layers] for run in live.runs] == [
        [layer.max_abs for layer in run.layers] for run in later.runs
    ]
    assert later.checks[1].detail.endswith("sha256 as in conversion.json (a trace holds no weights)")


def test_a_small_trace_is_enough_to_find_an_error(bort: Path, converted: Path, copy: Path, tmp_path: Path) -> None:
    trace = record(bort, tmp_path / "t", family="bort", heads=4, layers=(2,), sample=7, masked=1, seed=3)
    assert load_trace(tmp_path / "t").outputs["float64"]["layer.2"].shape == (7, 32)
    assert (tmp_path / "t").stat().st_size < 16_000
    assert json.loads(trace.provenance["kept"]) == {"layers": [2], "sample": 7, "batch": 4, "masked": 1}
    assert verify(tmp_path / "t", converted)
    spoil(copy, "bert.encoder.layer.1.output.dense.bias", 3)
    report = verify(tmp_path / "t", copy)
    assert report.per_layer is None
    assert report.headline.startswith("FAIL layer 2: max |d| ")
    assert report.headline.endswith("; first divergence; mlm_logits differs too (float64)")


def test_a_sample_of_every_layer_is_not_taken_for_a_whole_trace(bort: Path, copy: Path, tmp_path: Path) -> None:
    record(bort, tmp_path / "t", family="bort", heads=4, sample=7)
    spoil(copy, "bert.encoder.layer.1.output.dense.bias", 3)
    report = verify(tmp_path / "t", copy)
    assert report.per_layer is None
    assert report.headline.endswith("; first divergence; layer 2 and mlm_logits differ too (float64)")


def test_the_first_line_names_the_layer_at_fault(bort: Path, copy: Path) -> None:
    spoil(copy, "bert.encoder.layer.1.output.dense.bias", 3)
    report = verify(bort, copy)
    assert not report
    assert verdicts(report) == {"names and shapes": True, "bits": False, "behaviour": False, "as used": False}
    assert report.headline.startswith("FAIL layer 1: max |d| ")
    assert report.headline.endswith(", limit 1e-12; first divergence; layer 2 and mlm_logits inherit it (float64)")
    assert report.checks[1].detail == (
        "encoder.transformer_cells.1.ffn.ffn_2.bias: 1 of 32 values come back with other bits, the first at (3,)"
    )
    assert [layer.name for layer in report.per_layer.failures] == ["layer.1"]
    float32 = report.checks[2].detail.split("\n")[1]
    assert float32.startswith("layer 1: max |d| ")
    assert ", limit 3e-05; first divergence; " in float32


def test_an_error_in_the_embeddings_is_inherited_by_all(recorded: Path, copy: Path) -> None:
    spoil(copy, "bert.embeddings.LayerNorm.bias", 0)
    report = verify(recorded, copy)
    assert report.headline.startswith("FAIL embeddings: ")
    assert "; attentions 0-2, layers 0-2 and mlm_logits inherit it" in report.headline
    assert report.checks[1].detail.startswith("bert.embeddings.LayerNorm.bias: sha256 ")


def test_a_nan_names_the_layer(recorded: Path, copy: Path) -> None:
    spoil(copy, "bert.encoder.layer.1.output.dense.bias", 3, by=np.nan)
    report = verify(recorded, copy, dtype="float32")
    assert report.headline.startswith("FAIL layer 1: ")
    assert "values of the target are not finite, the first at (batch 0, token 0, unit 0)" in report.headline


def test_a_config_that_disagrees_comes_first(bort: Path, copy: Path) -> None:
    edit(copy / "config.json", num_attention_heads=8, layer_norm_eps=1e-12)
    report = verify(bort, copy)
    assert verdicts(report) == {"names and shapes": False, "bits": True, "behaviour": False, "as used": False}
    assert report.headline == (
        "FAIL names and shapes: config.json: layer_norm_eps is 1e-12, expected 1e-05 by bort.params"
    )
    assert "config.json: num_attention_heads is 8, expected 4 by bort.params" in report.checks[0].detail
    assert report.runs


def test_a_manifest_that_disagrees_is_named(recorded: Path, copy: Path) -> None:
    manifest = json.loads((copy / "conversion.json").read_text())
    edit(copy / "conversion.json", hyperparameters={**manifest["hyperparameters"], "attention_heads": 8})
    report = verify(recorded, copy)
    assert report.headline == "FAIL names and shapes: conversion.json: attention_heads is 8, expected 4 by bort.params"


def test_a_config_of_another_size_is_not_run(recorded: Path, copy: Path) -> None:
    edit(copy / "config.json", num_hidden_layers=10**9)
    report = verify(recorded, copy)
    assert not report
    assert report.checks[2].detail == "not run: config.json has other sizes than the source"
    assert "num_hidden_layers is 1000000000, expected 3" in report.headline


def test_tensors_that_are_not_the_model_s_are_named(recorded: Path, copy: Path) -> None:
    with open_tensors(copy / "model.safetensors") as file:
        tensors = {key: array.copy() for key, array in file.items()}
    (copy / "model.safetensors").unlink()
    tensors["bert.extra"] = np.zeros(1, np.float32)
    tensors["cls.predictions.decoder.weight"] = tensors["bert.embeddings.word_embeddings.weight"]
    tensors["cls.predictions.bias"] = np.zeros(5, np.float32)
    del tensors["bert.embeddings.LayerNorm.bias"]
    save_tensors(copy / "model.safetensors", tensors, {"format": "pt"})
    report = verify(recorded, copy)
    lines = report.checks[0].detail.split("\n")
    tied = ("bert.embeddings.word_embeddings.weight", "cls.predictions.decoder.weight")
    assert any(f"{one}: written beside {other}" in line for line in lines for one, other in (tied, tied[::-1]))
    assert sorted(line for line in lines if "written beside" not in line) == [
        "bert.embeddings.LayerNorm.bias: missing, expected shape (32,)",
        "bert.extra: the target model has no such tensor",
        "cls.predictions.bias: shape (5,), expected (67,) by the target model",
    ]
    assert report.checks[2].detail.startswith("not run: ")


def test_another_checkpoint_fails_on_bits(tmp_path: Path, converted: Path, bort: Path) -> None:
    other = write_bort(tmp_path / "other.params", seed=2)
    report = verify(other, converted, dtype="float64")
    assert verdicts(report) == {"names and shapes": True, "bits": False, "behaviour": False, "as used": False}
    record(other, tmp_path / "other.trace", family="bort", heads=4)
    report = verify(tmp_path / "other.trace", converted)
    assert report.checks[1].detail.startswith("conversion.json: made from a file with the sha256 ")
    assert bort != other


def test_tolerances_can_be_given(recorded: Path, copy: Path) -> None:
    spoil(copy, "bert.encoder.layer.1.output.dense.bias", 3, by=1e-4)
    assert not verify(recorded, copy, dtype="float32").checks[2].passed
    assert verify(recorded, copy, atol=1e-2).checks[2].passed
    assert verify(recorded, copy, rtol=1e-2).checks[2].passed
    assert not verify(recorded, copy, atol=1e-9).checks[2].passed


def test_a_trace_without_the_precision_is_refused(bort: Path, converted: Path, tmp_path: Path) -> None:
    record(bort, tmp_path / "t", family="bort", heads=4, dtype="float64")
    assert [run.dtype for run in verify(tmp_path / "t", converted).runs] == ["float64"]
    with pytest.raises(OptionError, match=r"`dtype='float32'`: t: the trace has float64 alone. Choose that, or record"):
        verify(tmp_path / "t", converted, dtype="float32")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dtype": "float16"}, "`dtype='float16'`: expected float32, float64, both"),
        ({"device": "tpu"}, "`device='tpu'`: expected cpu or cuda"),
        ({"batch": 0}, "`batch=0`: expected at least 1"),
        (
            {"timeout": 5.0, "reference_options": ReferenceOptions(timeout=6.0)},
            r"`timeout=5\.0`: stands in `reference_options` too",
        ),
    ],
)
def test_a_wrong_option_is_refused(bort: Path, converted: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message) as caught:
        verify(bort, converted, **options)
    assert caught.value.exit_code == 2
    assert caught.value.option == next(iter(options))


def test_options_of_the_reference_are_used_in_either_form(bort: Path, converted: Path, tmp_path: Path) -> None:
    for options in (
        {"mxnet_python": "/nowhere/python"},
        {"reference_options": ReferenceOptions(mxnet_python="/nowhere/python")},
    ):
        with pytest.raises(BackendError, match="/nowhere/python: cannot be started"):
            verify(bort, converted, **options)  # type: ignore[arg-type]
        with pytest.raises(BackendError, match="/nowhere/python: cannot be started"):
            record(bort, tmp_path / "t", family="bort", heads=4, **options)  # type: ignore[arg-type]


def test_the_old_name_of_the_gluonnlp_version_stays_for_record(bort: Path, tmp_path: Path) -> None:
    trace = record(bort, tmp_path / "t", family="bort", heads=4, dtype="float64", producer="0.9.1", sample=1)
    assert trace.hyperparameters["embedding_layer_norm_eps"] == 1e-12
    with pytest.raises(OptionError, match=r"`producer='0\.8'`: is the old name of `gluonnlp_version`"):
        record(bort, tmp_path / "u", family="bort", heads=4, producer="0.8", gluonnlp_version="0.8")


def test_a_report_has_its_provenance(bort: Path, converted: Path, recorded: Path) -> None:
    def sha256(path: Path) -> str:
        return hashlib.sha256(path.read_bytes()).hexdigest()

    target = {f"out/{name}": sha256(converted / name) for name in ("model.safetensors", "conversion.json")}
    report = verify(recorded, converted, dtype="float64", atol=0.5)
    assert report.digests == {
        "bort.trace": sha256(recorded),
        "bort.params, recorded in the trace": sha256(bort),
        **target,
    }
    assert report.call == f"bort_convert.verify({str(recorded)!r}, {str(converted)!r}, dtype='float64', atol=0.5)"
    live = verify(bort, converted, dtype="float64")
    assert live.digests == {"bort.params": sha256(bort), **target}


def test_a_report_names_every_shard(recorded: Path, bort: Path, tmp_path: Path) -> None:
    convert(bort, tmp_path / "out", family="bort", heads=4, max_shard_size="20KB")
    shards = sorted(path.name for path in (tmp_path / "out").glob("*.safetensors"))
    assert len(shards) > 1
    report = verify(recorded, tmp_path / "out", dtype="float64")
    assert list(report.digests)[2:] == [f"out/{name}" for name in (*shards, "conversion.json")]


def test_an_option_that_does_not_go_with_the_files_is_refused(
    bort: Path, converted: Path, recorded: Path, tmp_path: Path
) -> None:
    (tmp_path / "text").write_text("")
    with pytest.raises(OptionError, match="a recorded trace brings its own inputs; leave `text` out"):
        verify(recorded, converted, text=tmp_path / "text")
    with pytest.raises(OptionError, match=r"has no tokenizer.json; add a tokenizer, or leave `text` out"):
        verify(bort, converted, text=tmp_path / "text")
    with pytest.raises(OptionError, match=r"`layers=\(0, 3\)`: the model has the layers 0 to 2, and no layer 3"):
        record(bort, tmp_path / "t", family="bort", heads=4, layers=(0, 3))
    with pytest.raises(OptionError, match="`sample=0`: expected at least 1 position"):
        record(bort, tmp_path / "t", family="bort", heads=4, sample=0)
    with pytest.raises(FormatError, match="cannot be read: No such file or directory"):
        verify(tmp_path / "nowhere", converted)
    with pytest.raises(FormatError, match=r"config.json: cannot be read"):
        verify(bort, tmp_path)
    shutil.copy(converted / "config.json", tmp_path)
    shutil.copy(converted / "model.safetensors", tmp_path)
    for reference in (bort, recorded):
        with pytest.raises(FormatError, match=r"has no conversion.json. Is it a converted directory?"):
            verify(reference, tmp_path)
    assert not (tmp_path / "t").exists()


def test_a_trace_is_recognised(bort: Path, recorded: Path) -> None:
    assert is_trace(recorded)
    assert not is_trace(bort)


def test_float16_sources_are_run_on_the_upcast_values(tmp_path: Path) -> None:
    source = write_bort(tmp_path / "half.params", dtype="float16")
    convert(source, tmp_path / "out", family="bort", heads=4)
    report = verify(source, tmp_path / "out")
    assert report, report.headline


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_a_cast_passes_against_values_rounded_alike_and_fails_against_others(
    bort: Path, tmp_path: Path, dtype: str
) -> None:
    convert(bort, tmp_path / "out", family="bort", heads=4, dtype=dtype)
    report = verify(bort, tmp_path / "out")
    assert verdicts(report) == {"names and shapes": True, "bits": True, "behaviour": True, "as used": True}
    assert report.checks[1].detail.endswith(f"run backwards, equal to bort.params, as {dtype}")
    cast = f"conversion.json: the weights were cast to {dtype}"
    assert f"{cast}; GluonNLP ran on the values rounded in the same way" in report.notes
    record(bort, tmp_path / "t", family="bort", heads=4)
    against_trace = verify(tmp_path / "t", tmp_path / "out")
    assert verdicts(against_trace) == {"names and shapes": True, "bits": True, "behaviour": False, "as used": False}
    assert any(note.startswith(f"{cast} and the trace's were not") for note in against_trace.notes)


def test_importing_the_verifier_loads_neither_framework() -> None:
    heavy = {"torch", "transformers", "mxnet", "matplotlib", "jinja2"}
    code = f"import sys, bort_convert.verification; sys.exit(bool({heavy} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    code = code.replace("bort_convert.verification;", "bort_convert.verification.torch_run;")
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 1


def test_the_error_without_torch_says_what_to_install() -> None:
    code = "import sys; sys.modules['torch'] = None\nimport bort_convert.verification.torch_run"
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert "BackendError: this step needs torch and transformers" in done.stderr
    assert 'pip install ".[torch]" in a clone of bort_convert' in done.stderr


@pytest.mark.slow
def test_a_full_size_bort_agrees_within_its_memory(tmp_path: Path) -> None:
    source = write_bort(tmp_path / "bort.params", FULL)
    convert(source, tmp_path / "out")
    code = (
        "import json, sys\nfrom bort_convert import verify\n"
        "sys.stdout.write(json.dumps(verify(sys.argv[1], sys.argv[2]).to_dict()))"
    )
    done = subprocess.run([sys.executable, "-c", code, source, tmp_path / "out"], check=True, capture_output=True)
    report = json.loads(done.stdout)
    assert report["passed"]
    assert report["peak_mb"] < 6000
    worst = {run["dtype"]: max(layer["max_abs"] for layer in run["layers"][:-1]) for run in report["runs"]}
    assert worst["float64"] < 1e-12
    assert worst["float32"] < 3e-5
    assert report["runs"][1]["layers"][-1]["max_abs"] < 1e-12


def test_real_sentences_join_the_default_rows(bort: Path, copy: Path, tmp_path: Path) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers  # noqa: PLC0415

    tokenizer = Tokenizer(models.WordLevel({"<unk>": 3, "one": 4, "two": 5}, unk_token="<unk>"))  # noqa: S106 - no password
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.save(str(copy / "tokenizer.json"))
    (copy / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "PreTrainedTokenizerFast"}))
    (tmp_path / "text").write_text("one two\n\ntwo two unknown\n")
    report, plain = verify(bort, copy, text=tmp_path / "text"), verify(bort, copy)
    assert report, report.headline
    assert report.layers[0].count == plain.layers[0].count + (2 + 3) * 32
    (tmp_path / "text").write_text("\n")
    with pytest.raises(InputError, match="text: 0 lines with text, expected 1 to 64"):
        verify(bort, copy, text=tmp_path / "text")
    (tmp_path / "text").write_bytes(b"\xff")
    with pytest.raises(FormatError, match="text: cannot be read as UTF-8 text"):
        verify(bort, copy, text=tmp_path / "text")
