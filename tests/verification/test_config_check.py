from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import pytest

from bort_convert.commands.convert import convert
from bort_convert.errors import FormatError
from bort_convert.model_dir.manifest import Manifest
from bort_convert.model_dir.read import read_model_dir
from bort_convert.verification.config_check import config_problems
from bort_convert.verification.reference import fit_as_converted
from bort_convert.verification.trace_file import load_trace

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

REMOVED = object()
LABELS = ["bad", "good", "odd, or so"]
SOURCES = {
    "bort": "bort_2_3_24_24",
    "classifier": "bort_4_8_24_32-classifier3",
    "bert": "bert_2_2_8_8",
    "roberta": "roberta_2_2_8_8",
    "ernie": "ernie_2_2_8_8",
    "distilbert": "distilbert_2_2_8_8",
    "gpt2": "gpt2_2_3_48_12",
    "xlnet": "xlnet_2_2_8_8",
}
HEADS = {"bort": 3, "classifier": 8, "gpt2": 3}


@pytest.fixture(scope="module")
def directories(fixtures: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("directories")
    for name, source in SOURCES.items():
        convert(
            fixtures / f"{source}.params",
            folder / name,
            family="bort" if name == "classifier" else name,
            heads=HEADS.get(name, 2),
            labels=LABELS if name == "classifier" else None,
        )
    return {name: folder / name for name in SOURCES}


@pytest.fixture
def problems(directories: dict[str, Path], fixtures: Path, tmp_path: Path) -> Callable[..., list[str]]:
    def problems(name: str, file: str = "config.json", /, **changes: object) -> list[str]:
        out = shutil.copytree(directories[name], tmp_path / "out", dirs_exist_ok=True)
        content = {**json.loads((out / file).read_text("utf-8")), **changes}
        content = {key: value for key, value in content.items() if value is not REMOVED}
        (out / file).write_text(json.dumps(content), "utf-8")
        trace = load_trace(fixtures / "traces" / f"{SOURCES[name]}.safetensors")
        return config_problems(read_model_dir(out), trace.provenance)

    return problems


@pytest.mark.parametrize("name", SOURCES)
def test_what_convert_writes_has_no_problem(name: str, problems: Callable[..., list[str]]) -> None:
    assert problems(name) == []
    harmless = {"use_cache": False, "output_attentions": True, "transformers_version": "5", "_name_or_path": "x"}
    assert problems(name, **harmless) == []


@pytest.mark.parametrize(
    ("name", "key", "value"),
    [
        ("classifier", "id2label", {"0": "good", "1": "bad", "2": LABELS[2]}),
        ("classifier", "label2id", {"good": 0, "bad": 1, LABELS[2]: 2}),
        ("classifier", "id2label", REMOVED),
        ("classifier", "problem_type", "multi_label_classification"),
        ("classifier", "problem_type", REMOVED),
        ("bort", "pad_token_id", 7),
        ("bort", "pad_token_id", None),
        ("bort", "bos_token_id", 10**6),
        ("bort", "eos_token_id", REMOVED),
        ("bert", "pad_token_id", 5),
        ("bert", "bos_token_id", 5),
        ("gpt2", "eos_token_id", 50256),
        ("gpt2", "eos_token_id", REMOVED),
        ("xlnet", "pad_token_id", 0),
        ("roberta", "max_position_embeddings", 10),
        ("roberta", "type_vocab_size", 2),
        ("bort", "hidden_dropout_prob", 0.0),
        ("bort", "attention_probs_dropout_prob", 0.5),
        ("gpt2", "embd_pdrop", 0.1),
        ("xlnet", "dropout", 0.0),
        ("ernie", "initializer_range", 0.5),
        ("bort", "dtype", "float16"),
        ("bort", "torch_dtype", "float16"),
        ("distilbert", "torch_dtype", REMOVED),
        ("bert", "is_causal", True),
        ("bert", "is_decoder", True),
        ("bert", "add_cross_attention", True),
        ("bort", "architectures", ["BertForMaskedLM", "BertModel"]),
        ("bort", "architectures", ["BertModel"]),
        ("bort", "architectures", REMOVED),
        ("bort", "chunk_size_feed_forward", 5),
        ("gpt2", "scale_attn_weights", False),
        ("gpt2", "num_attention_heads", 2),
        ("gpt2", "n_inner", 7),
        ("gpt2", "activation_function", "gelu"),
        ("xlnet", "same_length", True),
        ("xlnet", "mem_len", 5),
        ("xlnet", "clamp_len", 5),
        ("xlnet", "attn_type", "uni"),
        ("bort", "tie_word_embeddings", False),
        ("bort", "layer_norm_eps", 1e-12),
        ("ernie", "hidden_act", "gelu"),
        ("bert", "model_type", "roberta"),
        ("bert", "vocab_size", True),
    ],
)
def test_every_key_of_the_config_is_compared(
    name: str, key: str, value: object, problems: Callable[..., list[str]]
) -> None:
    found = problems(name, **{key: value})
    assert len(found) == 1
    assert found[0].startswith(f"config.json: {key} is ")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("auto_map", {"AutoModel": "x.Y"}),
        ("quantization_config", {"bits": 4}),
        ("transformers_weights", "other.safetensors"),
    ],
)
def test_a_config_that_asks_for_another_class_or_other_weights_is_refused(
    key: str, value: object, problems: Callable[..., list[str]]
) -> None:
    with pytest.raises(FormatError, match=f"{key}|{value}"):
        problems("bort", **{key: value})


def test_a_manifest_that_was_edited_is_a_problem(problems: Callable[..., list[str]]) -> None:
    assert problems("bort", "conversion.json", notes=["another"]) == ["conversion.json: is not as it was written"]


def reseal(out: Path, **changes: object) -> None:
    """Write a manifest with changes and a valid digest."""
    path = out / "conversion.json"
    path.write_text(Manifest.from_json(json.dumps({**json.loads(path.read_text()), **changes})).to_json(), "utf-8")


def test_labels_are_those_of_the_conversion(directories: dict[str, Path], tmp_path: Path, fixtures: Path) -> None:
    out = shutil.copytree(directories["classifier"], tmp_path / "out")
    assert json.loads((out / "config.json").read_text())["id2label"]["2"] == LABELS[2]
    options = json.loads((out / "conversion.json").read_text())["options"]
    reseal(out, options={**options, "labels": ["a", "b", "c"]})
    trace = load_trace(fixtures / "traces" / f"{SOURCES['classifier']}.safetensors")
    found = config_problems(read_model_dir(out), trace.provenance)
    assert [line.split(" is ")[0] for line in found] == ["config.json: id2label", "config.json: label2id"]


def test_special_token_ids_follow_from_the_manifest_and_not_from_a_trace(fixtures: Path, tmp_path: Path) -> None:
    """A trace may have been recorded without the vocabulary that a conversion was given."""
    source, ids = fixtures / "roberta_2_2_8_8.params", {"pad_token_id": 3, "bos_token_id": 0, "eos_token_id": 2}
    convert(source, tmp_path / "out", family="roberta", heads=2, hyperparameters=ids)
    directory = read_model_dir(tmp_path / "out")
    positions = fit_as_converted(source, directory.conversion).plan.dims["max_positions"]
    assert directory.config["max_position_embeddings"] == positions + 4
    trace = load_trace(fixtures / "traces" / "roberta_2_2_8_8.safetensors")
    assert config_problems(directory, trace.provenance) == []


def test_a_manifest_that_lacks_a_hyperparameter_or_has_no_family_is_a_problem(
    directories: dict[str, Path], tmp_path: Path, fixtures: Path
) -> None:
    provenance = load_trace(fixtures / "traces" / f"{SOURCES['ernie']}.safetensors").provenance
    out = shutil.copytree(directories["ernie"], tmp_path / "out")
    reseal(out, hyperparameters={"attention_heads": 2})
    assert any(
        "config.json cannot be compared with it" in line for line in config_problems(read_model_dir(out), provenance)
    )
    reseal(out, family="no such")
    assert config_problems(read_model_dir(out), provenance)[-1].startswith("conversion.json: family is 'no such', expe")


def test_a_hyperparameter_that_no_option_explains_is_a_problem(
    directories: dict[str, Path], tmp_path: Path, fixtures: Path
) -> None:
    """Release 0.1 recorded the exact GELU for `--producer 0.8`, which decides nothing."""
    out = shutil.copytree(directories["gpt2"], tmp_path / "out")
    document = json.loads((out / "conversion.json").read_text())
    hyperparameters = {**document["hyperparameters"], "hidden_act": "gelu"}
    provenance = dict(load_trace(fixtures / "traces" / f"{SOURCES['gpt2']}.safetensors").provenance)
    known = {**json.loads(provenance["hyperparameters"]), "hidden_act": "gelu"}
    config = {**json.loads(provenance["config"]), "activation_function": "gelu"}
    provenance |= {"hyperparameters": json.dumps(known), "config": json.dumps(config)}
    for options, problem in (({"gluonnlp_version": "0.8"}, True), ({"hyperparameters": {"activation": "gelu"}}, False)):
        reseal(out, hyperparameters=hyperparameters, options={**document["options"], **options})
        written = {**json.loads((out / "config.json").read_text()), "activation_function": "gelu"}
        (out / "config.json").write_text(json.dumps(written))
        found = config_problems(read_model_dir(out), provenance)
        assert found == (
            ["conversion.json: hidden_act is 'gelu', expected 'gelu_new': no option of the conversion says otherwise"]
            if problem
            else []
        )
