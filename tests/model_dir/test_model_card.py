"""The model card: its text, its front matter, and its snippets, which run."""

from __future__ import annotations

from contextlib import redirect_stdout
from dataclasses import replace
from functools import partial
from io import StringIO
from typing import TYPE_CHECKING

import numpy as np
import pytest
from gpt2_tables import small_vocabulary

import bort_convert
from bort_convert.errors import ParityError
from bort_convert.model_dir.manifest import Manifest, SourceFile, TensorEntry
from bort_convert.model_dir.model_card import card_text
from bort_convert.params import open_params, save_params

if TYPE_CHECKING:
    from pathlib import Path

SMALL, HEADS = "bort_2_3_24_24", 3


def python_of(card: str) -> str:
    """Extract the only snippet of a card."""
    (snippet,) = [part.split("```")[0] for part in card.split("```python\n")[1:]]
    return snippet


def printed_by_the_card(out: Path) -> str:
    """Run the snippet in the directory, with no name but its own, and return its output."""
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(StringIO()) as printed:
        patch.chdir(out)
        exec(python_of((out / "README.md").read_text("utf-8")), {"__name__": "__main__"})  # noqa: S102 - it is ours
    return printed.getvalue()


@pytest.fixture
def plain() -> Manifest:
    tensor = TensorEntry(("word_embed.0.weight",), "copy", "float32", (5, 2), "0" * 64)
    return Manifest(
        source=SourceFile("bort.params", 1234, "1" * 64),
        tensors={"bert.embeddings.word_embeddings.weight": tensor},
        family="bort",
        table="language model",
        architecture="BertForMaskedLM",
        dims={"vocab_size": 5, "hidden_size": 2},
        hyperparameters={"head_layer_norm_eps": 1e-12},
        options={"heads": 3},
    )


def test_the_card_names_model_source_and_conversion(plain: Manifest) -> None:
    card = card_text(plain)
    for part in (
        "# BertForMaskedLM from `bort.params`\n\nA GluonNLP (MXNet) checkpoint, converted to PyTorch by bort_convert",
        "| family | bort, language model, a size that was not published |",
        "| sizes | vocab_size 5, hidden_size 2 |",
        "| hyperparameters | head_layer_norm_eps 1e-12 |",
        "| parameters | 10 from the checkpoint |",
        "| dtype | float32 |",
        f"| file | `bort.params`, 1,234 bytes |\n| sha256 | `{'1' * 64}` |",
        f"| converted by | bort_convert {bort_convert.__version__} with heads=3 |",
        "The conversion was not verified.",
        "## Fine-tuning\n\nOrdinary fine-tuning of Bort is known to work badly",
        "## Licence",
        "@article{dewynter2020bort,",
    ):
        assert part in card


def test_hyperparameters_without_a_config_key_are_on_the_card(plain: Manifest) -> None:
    tokenized = replace(plain, files={"tokenizer.json": "0" * 64})
    note = "The config has no key for the head's LayerNorm epsilon 1e-12: the stock class is off by up to 6e-5 in the"
    assert note in card_text(tokenized)
    hyperparameters = {
        "hidden_act": "relu",
        "layer_norm_eps": 1e-5,
        "head_layer_norm_eps": 1e-5,
        "head_hidden_act": "gelu",
        "embedding_layer_norm_eps": 1e-12,
    }
    ernie = replace(tokenized, hyperparameters=hyperparameters)
    card = card_text(ernie)
    assert "for the head's activation gelu and the embeddings' LayerNorm epsilon 1e-12: the st" in card
    assert "model = bort_convert.load_pretrained(where).eval()" in python_of(card)
    for architecture in ("BertModel", "BertForSequenceClassification"):
        card = card_text(replace(ernie, architecture=architecture))
        assert "for the embeddings' LayerNorm epsilon 1e-12: the st" in card
        assert "bort_convert.load_pretrained" in python_of(card)
    for unchanged in (tokenized, replace(tokenized, hyperparameters={"layer_norm_eps": 1e-5})):
        assert "bort_convert" not in python_of(card_text(unchanged))
    assert "no key for" not in card_text(unchanged)


def test_what_was_taken_for_granted_is_on_the_card(plain: Manifest) -> None:
    card = card_text(replace(plain, assumed=("head_layer_norm_eps",)))
    assert "| note | taken for granted, nothing in the file tells: head_layer_norm_eps 1e-12; `hyperparam" in card


def test_a_family_without_notes_has_a_card(plain: Manifest) -> None:
    card = card_text(replace(plain, family="unheard-of"))
    assert "# BertForMaskedLM" in card
    assert "Fine-tuning" not in card


def test_a_name_from_outside_stays_inert_in_the_page(plain: Manifest) -> None:
    card = card_text(replace(plain, source=SourceFile("a`|<script>\n# b.params", 1), options={"labels": "x|<b>,\ny"}))
    assert "`a'\\|&lt;script>\\n# b.params`" in card
    assert "with labels=x\\|&lt;b>,\\ny |" in card
    assert "not computed (`checksums=False`)" in card


@pytest.mark.torch
@pytest.mark.parametrize(
    ("kind", "task", "options"),
    [
        ("", "fill-mask", {}),
        ("-encoder", "feature-extraction", {"license": "apache-2.0"}),
        ("-classifier3", "text-classification", {"license": "mit"}),
    ],
)
def test_the_hub_reads_the_front_matter(
    kind: str, task: str, options: dict[str, str], fixtures: Path, tmp_path: Path
) -> None:
    from huggingface_hub import ModelCard  # noqa: PLC0415 - comes with torch's extra

    bort_convert.convert(fixtures / f"{SMALL}{kind}.params", tmp_path / "out", family="bort", heads=HEADS, **options)  # type: ignore[arg-type]
    data = ModelCard.load(tmp_path / "out" / "README.md").data
    assert data.to_dict() == {
        "library_name": "transformers",
        "pipeline_tag": task,
        "license": options.get("license", "unknown"),
        "tags": ["bort", "gluonnlp", "mxnet", "bort_convert"],
    }


@pytest.mark.torch
@pytest.mark.parametrize(
    ("kind", "with_tokenizer", "printed"),
    [
        ("", False, "BertForMaskedLM("),
        ("", True, "'token_str': "),
        ("-encoder", True, "torch.Size([2, "),
        ("-classifier3", True, "'label': 'no, no'"),
        ("-regression", True, "'label': 'LABEL_0'"),
    ],
)
def test_the_snippet_runs(kind: str, printed: str, *, with_tokenizer: bool, fixtures: Path, tmp_path: Path) -> None:
    files = {"vocab": fixtures / "tiny.vocab", "bpe_ranks": fixtures / "tiny_ranks.txt"} if with_tokenizer else {}
    labels = ["no", "no, no", "not at all"] if kind == "-classifier3" else None
    source = fixtures / f"bort_4_8_24_32{kind}.params"
    bort_convert.convert(source, tmp_path / "out", family="bort", heads=8, labels=labels, **files)  # type: ignore[arg-type]
    assert printed in printed_by_the_card(tmp_path / "out")


@pytest.mark.torch
@pytest.mark.parametrize(
    ("kind", "printed"),
    [("", "'token_str': "), ("-pooled", "torch.Size([2, "), ("-classifier3", "'label': "), ("-spans", "the answer: ")],
)
def test_a_berts_snippet_runs(kind: str, printed: str, fixtures: Path, tmp_path: Path) -> None:
    source, vocab = fixtures / f"bert_2_2_8_8{kind}.params", fixtures / "tiny_bert.vocab"
    bort_convert.convert(source, tmp_path / "out", family="bert", heads=2, vocab=vocab)
    assert printed in printed_by_the_card(tmp_path / "out")
    card = (tmp_path / "out" / "README.md").read_text("utf-8")
    assert "| tokenizer from | `tiny_bert.vocab`, sha256" in card
    note = "text is lower-cased and loses its accents; no word in tiny_bert.vocab has a capital letter"
    assert f"| note | tokenizer: {note} |" in card


@pytest.mark.torch
def test_a_gpt2s_snippet_writes_a_text(fixtures: Path, tmp_path: Path) -> None:
    """The fixture has too few tokens for all bytes and too few positions for a text, so both are enlarged."""
    ranks, vocab = fixtures / "tiny_ranks.txt", tmp_path / "small.vocab"
    vocab.write_text(small_vocabulary(ranks), "utf-8")
    with open_params(fixtures / "gpt2_2_3_48_12.params") as params:
        arrays = {name: array.copy() for name, array in params.items()}
    arrays["_embed.weight"] = arrays["_logits_proj.weight"] = np.resize(arrays["_embed.weight"], (277, 12))
    arrays["_pos_embed.weight"] = np.resize(arrays["_pos_embed.weight"], (300, 12))
    save_params(tmp_path / "x.params", arrays)
    bort_convert.convert(tmp_path / "x.params", tmp_path / "out", heads=3, vocab=vocab, bpe_ranks=ranks)
    assert "[{'generated_text': 'A sentence." in printed_by_the_card(tmp_path / "out")


@pytest.mark.torch
@pytest.mark.mxnet
def test_the_outcome_of_a_verification_is_in_card_and_manifest(fixtures: Path, tmp_path: Path) -> None:
    source, out = fixtures / f"{SMALL}.params", tmp_path / "out"
    manifest = bort_convert.convert(source, out, family="bort", heads=HEADS, verify=True)
    card = (out / "README.md").read_text("utf-8")
    assert [run["dtype"] for run in manifest.parity["runs"]] == ["float32", "float64"]
    for run in manifest.parity["runs"]:
        assert 0 < run["max_abs"] < run["limit"]
        row = f"| {run['dtype']}, nearest to its limit | {run['output']}: {run['max_abs']:.1e} of {run['limit']:.1e} |"
        assert row in card
    assert f"run backwards, equal to {source.name} |" in card
    assert "mxnet 1.9.1" in card
    assert bort_convert.check(out)


@pytest.mark.torch
@pytest.mark.mxnet
def test_a_conversion_that_fails_verification_is_not_written(fixtures: Path, tmp_path: Path) -> None:
    strict = partial(bort_convert.verify, atol=0.0, rtol=0.0, dtype="float32")
    with pytest.raises(ParityError, match=r"FAIL .* first divergence.*\. Nothing was written"):
        bort_convert.convert(fixtures / f"{SMALL}.params", tmp_path / "out", family="bort", heads=HEADS, verify=strict)
    assert list(tmp_path.iterdir()) == []
