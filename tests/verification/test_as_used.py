# ruff: noqa: FBT003 - the booleans are values of JSON
"""The check "as used", on mutants of a config, of a tokenizer and of special tokens; each is caught by its check."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from converted_dir import seal
from mutants import scaled

from bort_convert.commands.convert import convert
from bort_convert.model_dir.read import read_model_dir
from bort_convert.verification import load_trace, verify
from bort_convert.verification.behaviour import Limits
from bort_convert.verification.config_check import config_problems
from bort_convert.verification.findings import AS_USED, NAMES_AND_SHAPES

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.torch


def as_used(*arguments: Any, **options: Any) -> Any:  # noqa: ANN401
    """`check_as_used`, whose module imports torch."""
    from bort_convert.verification.as_used import check_as_used  # noqa: PLC0415

    return check_as_used(*arguments, **options)


CONFIG, TOKENIZER, SETTINGS = "config.json", "tokenizer.json", "tokenizer_config.json"
TOKENS = "special_tokens_map.json"
LABELS = ["bad", "good", "odd"]
REMOVED = object()
BORT = {"vocab": "tiny.vocab", "bpe_ranks": "tiny_ranks.txt"}
SOURCES: dict[str, tuple[str, int, dict[str, Any]]] = {
    "bort": ("bort_2_3_24_24", 3, BORT),
    "classifier": ("bort_4_8_24_32-classifier3", 8, {"labels": LABELS}),
    "bert": ("bert_2_2_8_8", 2, {"vocab": "tiny_bert.vocab"}),
    "roberta": ("roberta_2_2_8_8", 2, {}),
    "ernie": ("ernie_2_2_8_8", 2, {}),
    "distilbert": ("distilbert_2_2_8_8", 2, {}),
    "gpt2": ("gpt2_2_3_48_12", 3, {}),
    "xlnet": ("xlnet_2_2_8_8", 2, {}),
}
BOTH, CONFIG_ALONE, USED = {NAMES_AND_SHAPES, AS_USED}, {NAMES_AND_SHAPES}, {AS_USED}


@dataclass(frozen=True)
class Mutant:
    """A wrong value in a file of a directory.

    Attributes:
        model: key of `SOURCES`.
        file: name of the file.
        path: keys that lead to the value, joined by "/"; "" for the whole file.
        value: the wrong value; `REMOVED` to leave the entry out.
        caught_by: the checks that must fail.
        sealed: write the file's new digest into the manifest, as a conversion with this mistake would.
    """

    model: str
    file: str
    path: str
    value: Any
    caught_by: set[str]
    sealed: bool = False

    @property
    def shown(self) -> object:
        """The value in the name of the test, which must be the same in every process."""
        return "removed" if self.value is REMOVED else self.value


MUTANTS = [
    Mutant("bort", CONFIG, "pad_token_id", 7, BOTH),
    Mutant("bort", CONFIG, "bos_token_id", 9, BOTH),
    Mutant("bort", CONFIG, "eos_token_id", 1, BOTH),
    Mutant("bort", CONFIG, "mask_token_id", 4, BOTH),
    Mutant("bort", CONFIG, "pad_token_id", None, CONFIG_ALONE),
    Mutant("bort", CONFIG, "is_causal", True, BOTH),
    Mutant("bort", CONFIG, "is_decoder", True, BOTH),
    Mutant("bort", CONFIG, "hidden_act", "gelu_new", BOTH),
    Mutant("bort", CONFIG, "layer_norm_eps", 1e-3, BOTH),
    Mutant("bort", CONFIG, "tie_word_embeddings", False, BOTH),
    Mutant("bort", CONFIG, "chunk_size_feed_forward", 5, BOTH),
    Mutant("bort", CONFIG, "num_attention_heads", 4, BOTH),
    Mutant("bort", CONFIG, "architectures", ["BertModel"], CONFIG_ALONE),
    Mutant("bert", CONFIG, "is_causal", True, BOTH),
    Mutant("bert", CONFIG, "pad_token_id", 3, BOTH),
    Mutant("bert", CONFIG, "cls_token_id", 0, BOTH),
    Mutant("roberta", CONFIG, "pad_token_id", 0, BOTH),
    Mutant("roberta", CONFIG, "pad_token_id", 3, BOTH),
    Mutant("roberta", CONFIG, "is_causal", True, BOTH),
    Mutant("ernie", CONFIG, "hidden_act", "gelu", BOTH),
    Mutant("distilbert", CONFIG, "layer_norm_eps", 1e-3, BOTH),
    Mutant("gpt2", CONFIG, "is_causal", False, BOTH),
    Mutant("gpt2", CONFIG, "scale_attn_weights", False, BOTH),
    Mutant("gpt2", CONFIG, "activation_function", "gelu", BOTH),
    Mutant("gpt2", CONFIG, "num_attention_heads", 4, BOTH),
    Mutant("xlnet", CONFIG, "attn_type", "uni", BOTH),
    Mutant("xlnet", CONFIG, "clamp_len", 2, BOTH),
    Mutant("xlnet", CONFIG, "ff_activation", "relu", BOTH),
    Mutant("bert", CONFIG, "dtype", "float16", BOTH),
    Mutant("classifier", CONFIG, "id2label", {"0": "good", "1": "bad", "2": "odd"}, BOTH),
    Mutant("classifier", CONFIG, "problem_type", "multi_label_classification", CONFIG_ALONE),
    Mutant("bort", TOKENIZER, "model/merges", [], USED),
    Mutant("bort", TOKENIZER, "post_processor", None, USED),
    Mutant("bort", TOKENIZER, "", REMOVED, USED),
    Mutant("bert", TOKENIZER, "normalizer/lowercase", False, USED),
    Mutant("bert", TOKENIZER, "post_processor", None, USED),
    Mutant("bort", SETTINGS, "pad_token", "<mask>", USED),
    Mutant("bort", SETTINGS, "mask_token", "<unk>", USED),
    Mutant("bort", SETTINGS, "padding_side", "left", USED),
    Mutant("bort", SETTINGS, "model_max_length", 10**6, USED),
    Mutant("bert", SETTINGS, "model_input_names", ["input_ids"], USED),
    Mutant("bort", TOKENS, "pad_token", "<mask>", USED),
    Mutant("gpt2", "generation_config.json", "eos_token_id", 5, USED),
    Mutant("bort", TOKENS, "pad_token", "<mask>", USED, sealed=True),
    Mutant("bort", TOKENS, "mask_token", "<unk>", USED, sealed=True),
    Mutant("bort", SETTINGS, "padding_side", "left", USED, sealed=True),
    Mutant("bort", SETTINGS, "model_max_length", 10**6, USED, sealed=True),
    Mutant("bert", TOKENS, "pad_token", "[MASK]", USED, sealed=True),
]


def with_change(content: Any, path: str, value: object) -> Any:  # noqa: ANN401 - JSON
    """A JSON object with one entry changed."""
    key, _, rest = path.partition("/")
    if rest:
        return {**content, key: with_change(content[key], rest, value)}
    changed = {**content, key: value}
    return {name: entry for name, entry in changed.items() if entry is not REMOVED}


@pytest.fixture(scope="module")
def directories(fixtures: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("directories")
    for name, (source, heads, options) in SOURCES.items():
        files = {key: value if key == "labels" else fixtures / value for key, value in options.items()}
        family = "bort" if name == "classifier" else name
        convert(fixtures / f"{source}.params", folder / name, family=family, heads=heads, **files)
    return {name: folder / name for name in SOURCES}


def failed_checks(out: Path, model: str, fixtures: Path) -> dict[str, str]:
    """The checks of what a directory says and computes as it is; name -> detail."""
    trace, directory = load_trace(fixtures / "traces" / f"{SOURCES[model][0]}.safetensors"), read_model_dir(out)
    problems = config_problems(directory, trace.provenance)
    used = as_used(trace, directory, ("float32",), limits=Limits())
    found = {NAMES_AND_SHAPES: "\n".join(problems)} if problems else {}
    return found if used.passed else {**found, AS_USED: used.detail}


@pytest.mark.parametrize("model", SOURCES)
def test_what_convert_writes_is_right_as_used(model: str, directories: dict[str, Path], fixtures: Path) -> None:
    assert failed_checks(directories[model], model, fixtures) == {}


@pytest.mark.parametrize(
    "mutant", MUTANTS, ids=lambda mutant: f"{mutant.model} {mutant.file} {mutant.path} {mutant.shown} {mutant.sealed}"
)
def test_each_mutant_is_caught_by_the_check_that_should_see_it(
    mutant: Mutant, directories: dict[str, Path], fixtures: Path, tmp_path: Path
) -> None:
    out = shutil.copytree(directories[mutant.model], tmp_path / "out")
    file = out / mutant.file
    content = json.loads(file.read_text("utf-8")) if file.exists() else {}
    if mutant.path:
        file.write_text(json.dumps(with_change(content, mutant.path, mutant.value)), "utf-8")
    else:
        file.unlink()
    if mutant.sealed:
        seal(out, mutant.file)
    assert failed_checks(out, mutant.model, fixtures).keys() >= mutant.caught_by


def test_known_deviations_stand_first_and_have_their_size(directories: dict[str, Path], fixtures: Path) -> None:
    trace = load_trace(fixtures / "traces" / "ernie_2_2_8_8.safetensors")
    used = as_used(trace, read_model_dir(directories["ernie"]), ("float32", "float64"), limits=Limits())
    first = used.detail.partition("\n")[0]
    assert first.startswith(
        "known deviation of the stock class, which lacks the head's LayerNorm epsilon 1e-12 and the head's activation "
        "gelu: mlm_logits max |d| 0."
    )
    trace = load_trace(fixtures / "traces" / "bort_2_3_24_24.safetensors")
    used = as_used(trace, read_model_dir(directories["bort"]), ("float32",), limits=Limits())
    first = used.detail.partition("\n")[0]
    assert first.endswith("e-05 (float32); load_pretrained has it")
    assert "no tokenizer" not in used.detail


def test_without_a_tokenizer_the_check_says_what_it_could_not_see(directories: dict[str, Path], fixtures: Path) -> None:
    trace = load_trace(fixtures / "traces" / "xlnet_2_2_8_8.safetensors")
    used = as_used(trace, read_model_dir(directories["xlnet"]), ("float32", "float64"), limits=Limits())
    assert used.passed
    assert "no tokenizer, so neither ids of texts nor special token ids could be compared" in used.detail
    assert "float64: not run, because this class computes positions in float32" in used.detail


@pytest.mark.mxnet
@pytest.mark.parametrize("family", ["bert", "gpt2"])
def test_large_weights_are_right_as_used(family: str, fixtures: Path, tmp_path: Path) -> None:
    source, heads, _ = SOURCES[family]
    large = scaled(fixtures / f"{source}.params", tmp_path / "large.params", 3)
    convert(large, tmp_path / "out", family=family, heads=heads)
    report = verify(large, tmp_path / "out")
    assert report, report.headline
    assert [check.name for check in report.checks] == ["names and shapes", "bits", "behaviour", "as used"]


@pytest.mark.mxnet
@pytest.mark.parametrize(
    ("model", "file", "path", "value"),
    [
        ("bort", TOKENIZER, "model/merges", []),
        ("bert", TOKENIZER, "normalizer/lowercase", False),
        ("bort", TOKENIZER, "post_processor", None),
        ("bert", TOKENIZER, "post_processor", None),
        ("bort", "", "", None),
        ("bert", "", "", None),
    ],
)
def test_ids_of_texts_are_those_of_gluonnlps_own_tokenizer(
    model: str, file: str, path: str, *, value: object, directories: dict[str, Path], fixtures: Path, tmp_path: Path
) -> None:
    """The tokenizer's file is sealed: only its ids show the mistake."""
    out = shutil.copytree(directories[model], tmp_path / "out")
    if file:
        (out / file).write_text(json.dumps(with_change(json.loads((out / file).read_text("utf-8")), path, value)))
        seal(out, file)
    report = verify(fixtures / f"{SOURCES[model][0]}.params", out, dtype="float32")
    (used,) = (check for check in report.checks if check.name == AS_USED)
    assert used.passed == (not file)
    expected = "expected [" if file else "ids of 10 texts are those of GluonNLP's tokenizer"
    assert expected in used.detail
