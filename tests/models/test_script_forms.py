"""Forms of GluonNLP's scripts: what they compute on MXNet comes out of the stock class of transformers."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from bort_convert import MappingError, convert, export, open_params, verify

if TYPE_CHECKING:
    from bort_convert.dtypes import Array

pytestmark = [pytest.mark.mxnet, pytest.mark.torch]

MAKER = Path(__file__).parents[1] / "support" / "gluon_forms.py"
IDS = [[5, 6, 7, 8, 9, 10], [3, 4, 2, 0, 0, 0]]
LENGTHS = [6, 3]
LONGER: dict[str, Any] = {"ids": [[5, 6, 7, 8, 9, 11, 2, 3, 14], [3, 4, 2, 8, 9, 12, 0, 0, 0]], "lengths": [9, 6]}
SHALLOW = {"layers": 1, "attention_heads": 3, "intermediate_size": 10, "hidden_size": 12}
DEEP = {"layers": 3, "attention_heads": 2, "intermediate_size": 24, "hidden_size": 16}
TABLES = {"vocab_size": 31, "max_positions": 17}
LABELS = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC", "B-ORG", "I-ORG"]


def computed(model_class: str, out: Path, ids: Any, lengths: Any, **options: Any) -> dict[str, Any]:  # noqa: ANN401
    """Outputs of a converted directory in float64, loaded by an `AutoModel...` class with nothing set by us."""
    import torch  # noqa: PLC0415 - heavy, and marked
    import transformers  # noqa: PLC0415

    model = getattr(transformers, model_class).from_pretrained(out, dtype=torch.float64, **options).eval()
    mask = np.arange(np.shape(ids)[1]) < np.array(lengths)[:, None]
    with torch.no_grad():
        found = model(torch.tensor(np.array(ids)).long(), attention_mask=torch.tensor(mask).long())
    return {name: [*values] if isinstance(values, tuple) else values.numpy() for name, values in found.items()}


def made(folder: Path, form: str, size: dict[str, int], **job: Any) -> tuple[Path, dict[str, Array]]:  # noqa: ANN401
    """A checkpoint by GluonNLP, and what GluonNLP computes with it in float64."""
    paths = {"params": str(folder / "x.params"), "outputs": str(folder / "x.npz")}
    whole = {"form": form, "size": {**TABLES, **size}, "ids": IDS, "lengths": LENGTHS, **paths, **job}
    (folder / "job.json").write_text(json.dumps(whole), "utf-8")
    subprocess.run([sys.executable, "-W", "ignore", MAKER, folder / "job.json"], check=True)
    with np.load(folder / "x.npz") as stored:
        return folder / "x.params", dict(stored)


def assert_same_at_valid_positions(one: Array, other: Array, atol: float) -> None:
    assert one.shape == other.shape
    for row, length in enumerate(LENGTHS):
        places = slice(0, length) if one.ndim > 2 else slice(None)
        np.testing.assert_allclose(one[row, places], other[row, places], rtol=0, atol=atol)


def assert_comes_back(source: Path, out: Path, again: Path, names: str) -> None:
    """A verification passes, and the way back has the bytes of the checkpoint's arrays."""
    report = verify(source, out)
    assert report.passed, report.headline
    assert max(layer.max_abs for run in report.runs if run.dtype == "float64" for layer in run.layers) <= 1e-12
    assert_same_arrays(source, out, again, names)


def assert_same_arrays(source: Path, out: Path, again: Path, names: str = "structural") -> None:
    """The way back gives every array of a checkpoint with its bits; prefixed names are those of a fresh process."""
    export(out, again, names=names)
    with open_params(source) as one, open_params(again) as other:
        before, after = ({name: array.tobytes() for name, array in params.items()} for params in (one, other))
    assert sorted(before.values()) == sorted(after.values())
    if names == "structural":
        assert before == after


@pytest.mark.shared
@pytest.mark.parametrize("name", ["ner", "ner-prefix"])
def test_the_tagger_of_the_corpus_gives_the_tags_of_mxnet(shared: Path, tmp_path: Path, name: str) -> None:
    case = shared / "corpus" / "cases" / "bert-tagger"
    manifest = convert(case / f"{name}.params", tmp_path / "out", family="bert", heads=2, labels=LABELS[:5])
    assert manifest.architecture == "BertForTokenClassification"
    with np.load(case / "expected.npz") as stored:
        ids, tags = stored["ids"], stored["tags"]
    logits = computed("AutoModelForTokenClassification", tmp_path / "out", ids, [ids.shape[1]])["logits"]
    np.testing.assert_allclose(logits, tags, rtol=0, atol=2e-6)
    np.testing.assert_allclose(logits[0, 0], (1.82205, -0.52038, 0.22001, 1.11137, -1.06164), rtol=0, atol=5e-5)
    assert logits.argmax(-1).tolist() == [[0, 3, 0, 3, 3, 0]]
    report = verify(case / f"{name}.params", tmp_path / "out")
    assert report.passed, report.headline


@pytest.mark.shared
def test_the_masked_language_model_with_a_pooler_of_the_corpus_keeps_every_array(shared: Path, tmp_path: Path) -> None:
    source = shared / "corpus" / "cases" / "mlm-head-and-pooler" / "mlm.params"
    manifest = convert(source, tmp_path / "out", family="bert", heads=2)
    assert manifest.architecture == "BertForPreTraining"
    found = computed("AutoModelForPreTraining", tmp_path / "out", [[5, 6, 7, 8]], [4])
    assert found["prediction_logits"][0, 1].argmax() == 1
    assert not found["seq_relationship_logits"].any()
    report = verify(source, tmp_path / "out")
    assert report.passed, report.headline
    assert_same_arrays(source, tmp_path / "out", tmp_path / "back.params")


@pytest.mark.parametrize(
    ("size", "naming", "before", "labels"),
    [(SHALLOW, "prefixed", 3, 7), (DEEP, "structural", 0, 2), (DEEP, "prefixed", 0, 1)],
)
def test_a_tagger_of_any_size_and_counters(
    tmp_path: Path, size: dict[str, int], naming: str, before: int, labels: int
) -> None:
    source, expected = made(tmp_path, "tagger", size, naming=naming, before=before, options={"labels": labels})
    out, heads = tmp_path / "out", size["attention_heads"]
    manifest = convert(source, out, family="bert", heads=heads, labels=LABELS[:labels])
    assert (manifest.table, manifest.dims["layers"]) == ("tagger", size["layers"])
    logits = computed("AutoModelForTokenClassification", out, IDS, LENGTHS)["logits"]
    assert_same_at_valid_positions(logits, expected["logits"], 1e-12)
    assert_comes_back(source, out, tmp_path / "back.params", "structural" if naming == "structural" else "prefix")


@pytest.mark.parametrize("attribute", ["bert", "encoder", "backbone"])
def test_a_tagger_may_hold_its_backbone_under_another_attribute(tmp_path: Path, attribute: str) -> None:
    job: dict[str, Any] = {"naming": "structural", "before": 1, "options": {"labels": 7, "attribute": attribute}}
    source, expected = made(tmp_path, "tagger", SHALLOW, **job)
    with open_params(source) as params:
        assert f"{attribute}.word_embed.0.weight" in params
    out = tmp_path / "out"
    manifest = convert(source, out, family="bert", heads=SHALLOW["attention_heads"], labels=LABELS)
    assert (manifest.architecture, manifest.table, manifest.prefix) == ("BertForTokenClassification", "tagger", "")
    logits = computed("AutoModelForTokenClassification", out, IDS, LENGTHS)["logits"]
    assert_same_at_valid_positions(logits, expected["logits"], 1e-12)
    report = verify(source, out)
    assert report.passed, report.headline
    export(out, tmp_path / "back.params")
    with open_params(source) as one, open_params(tmp_path / "back.params") as other:
        before, after = ({name: array.tobytes() for name, array in params.items()} for params in (one, other))
    assert before == after


@pytest.mark.parametrize(("size", "naming", "before"), [(SHALLOW, "prefixed", 3), (DEEP, "structural", 0)])
def test_slots_have_the_class_and_the_intent_stands_beside_it(
    tmp_path: Path, size: dict[str, int], naming: str, before: int
) -> None:
    options = {"intents": 4, "slots": 7}
    source, expected = made(tmp_path, "intent_and_slots", size, naming=naming, before=before, options=options)
    out, heads = tmp_path / "out", size["attention_heads"]
    manifest = convert(source, out, family="bert", heads=heads, labels=LABELS)
    assert (manifest.architecture, len(manifest.extra)) == ("BertForTokenClassification", 4)
    found = computed("AutoModelForTokenClassification", out, IDS, LENGTHS, output_hidden_states=True)
    assert_same_at_valid_positions(found["logits"], expected["slots"], 1e-12)
    from safetensors.numpy import load_file  # noqa: PLC0415

    kept = load_file(out / "extra.safetensors")
    (pooler, pooler_bias), (weight, bias) = (
        [next(kept[name] for name in kept if part in name and name.endswith(end)) for end in ("weight", "bias")]
        for part in ("pooler", "intent" if naming == "structural" else "hybridsequential0")
    )
    pooled = np.tanh(found["hidden_states"][-1][:, 0] @ pooler.T.astype("d") + pooler_bias)
    np.testing.assert_allclose(pooled @ weight.T.astype("d") + bias, expected["intent"], rtol=0, atol=1e-12)
    report = verify(source, out)
    assert report.passed, report.headline
    assert_same_arrays(source, out, tmp_path / "back.params", "source")


def test_an_intent_alone_has_a_class_where_the_slots_are_left_out(tmp_path: Path) -> None:
    options = {"intents": 4, "slots": 7}
    source, expected = made(tmp_path, "intent_and_slots", DEEP, naming="structural", before=1, options=options)
    manifest = convert(source, tmp_path / "out", family="bert", heads=2, ignore=["slot_tagger.*"])
    assert (manifest.architecture, len(manifest.left_out)) == ("BertForSequenceClassification", 2)
    logits = computed("AutoModelForSequenceClassification", tmp_path / "out", IDS, LENGTHS)["logits"]
    np.testing.assert_allclose(logits, expected["intent"], rtol=0, atol=1e-12)
    report = verify(source, tmp_path / "out")
    assert report.passed, report.headline


@pytest.mark.parametrize(
    ("kind", "size", "naming", "before"), [("bert", SHALLOW, "prefixed", 2), ("ernie", DEEP, "structural", 0)]
)
def test_a_pooler_and_a_masked_language_model_head_of_any_size(
    tmp_path: Path, kind: str, size: dict[str, int], naming: str, before: int
) -> None:
    source, expected = made(tmp_path, "no_next_sentence", size, naming=naming, before=before, options={"kind": kind})
    out, heads = tmp_path / "out", size["attention_heads"]
    manifest = convert(source, out, family=kind, heads=heads)
    assert manifest.table == "language model without next-sentence head"
    if kind == "bert":  # an ERNIE's head has another activation than its class
        found = computed("AutoModelForPreTraining", out, IDS, LENGTHS)
        assert_same_at_valid_positions(found["prediction_logits"], expected["prediction_logits"], 1e-12)
    assert_comes_back(source, out, tmp_path / "back.params", "structural" if naming == "structural" else "prefix")


@pytest.mark.parametrize(("size", "dropout", "before"), [(SHALLOW, 0.1, 2), (DEEP, 0.0, 0)])
def test_a_regression_of_roberta_is_a_classifier_with_one_output(
    tmp_path: Path, size: dict[str, int], dropout: float, before: int
) -> None:
    source, expected = made(
        tmp_path, "roberta_regression", size, naming="structural", before=before, options={"dropout": dropout}
    )
    out = tmp_path / "out"
    convert(source, out, family="roberta", heads=size["attention_heads"])
    assert json.loads((out / "config.json").read_text("utf-8"))["problem_type"] == "regression"
    without_padding_id = np.array(IDS)[:, :3]  # 1 would not be counted, and 0 to 2 stand behind the valid tokens
    logits = computed("AutoModelForSequenceClassification", out, without_padding_id, [3, 3])["logits"]
    assert logits.shape == (2, 1)
    assert np.allclose(logits[1], expected["logits"][1], rtol=0, atol=1e-7)  # MXNet's epsilon is a float32
    assert_comes_back(source, out, tmp_path / "back.params", "structural")


@pytest.mark.parametrize(("size", "naming", "before"), [(SHALLOW, "prefixed", 2), (DEEP, "structural", 0)])
def test_an_xlnet_that_answers_finds_the_answers_of_mxnet(
    tmp_path: Path, size: dict[str, int], naming: str, before: int
) -> None:
    import torch  # noqa: PLC0415 - heavy, and marked
    import transformers  # noqa: PLC0415

    source, expected = made(tmp_path, "xlnet_answers", size, naming=naming, before=before, options={}, **LONGER)
    out, ids, lengths = tmp_path / "out", np.array(LONGER["ids"]), np.array(LONGER["lengths"])
    manifest = convert(source, out, family="xlnet")
    assert (manifest.table, manifest.architecture) == ("question answering", "XLNetForQuestionAnswering")
    model = transformers.XLNetForQuestionAnswering.from_pretrained(out).eval()
    mask = np.arange(ids.shape[1]) < lengths[:, None]
    with torch.no_grad():
        found = model(
            torch.tensor(ids),
            attention_mask=torch.tensor(mask).long(),
            p_mask=torch.tensor(~mask).float(),
            cls_index=torch.tensor(lengths - 1),
        )
    for end in ("start", "end"):  # the class calls probabilities log_probs
        assert found[f"{end}_top_index"].tolist() == expected[f"{end}_top_index"].tolist()
        chances = np.exp(expected[f"{end}_top_log_probs"])
        np.testing.assert_allclose(found[f"{end}_top_log_probs"].numpy(), chances, rtol=0, atol=1e-5)
    np.testing.assert_allclose(found["cls_logits"].numpy(), expected["cls_logits"], rtol=0, atol=1e-5)
    assert_comes_back(source, out, tmp_path / "back.params", "structural" if naming == "structural" else "prefix")


@pytest.mark.parametrize(
    ("labels", "dropout", "naming"), [(3, 0.1, "structural"), (1, 0.0, "structural"), (1, 0.1, "prefixed")]
)
def test_a_classifier_or_a_regression_on_an_xlnet_is_refused_with_the_reason(
    tmp_path: Path, labels: int, dropout: float, naming: str
) -> None:
    options = {"labels": labels, "dropout": dropout}
    source, _ = made(tmp_path, "xlnet_classifier", SHALLOW, naming=naming, before=1, options=options)
    with pytest.raises(MappingError, match=r"classifier or regression.*applies its pooler.*twice in a row") as error:
        convert(source, tmp_path / "out")
    assert "beside it with `keep_extra=True`" in str(error.value)
    assert not (tmp_path / "out").exists()
    manifest = convert(source, tmp_path / "out", keep_extra=True)
    assert (manifest.architecture, len(manifest.extra)) == ("XLNetModel", 4)
    report = verify(source, tmp_path / "out")
    assert report.passed, report.headline
    head = ["*classifier*"] if naming == "prefixed" else ["classifier.*", "pooler.*"]
    alone = convert(source, tmp_path / "alone", ignore=head)
    assert (alone.architecture, len(alone.left_out)) == ("XLNetModel", 5)  # with the constant of the positions
    assert_same_arrays(source, tmp_path / "out", tmp_path / "back.params", "source")


def test_the_pipeline_gives_the_tags_of_mxnet(fixtures: Path, tmp_path: Path) -> None:
    from transformers import pipeline  # noqa: PLC0415 - heavy, and marked

    out, sentences = tmp_path / "out", texts()
    vocab = fixtures / "tiny_bert.vocab"
    size = {**DEEP, "vocab_size": 40}
    job: dict[str, Any] = {"naming": "structural", "before": 5, "options": {"labels": 7}}
    first, _ = made(tmp_path, "tagger", size, **job)
    convert(first, out, family="bert", heads=2, vocab=vocab, lower_case=True, labels=LABELS)
    ask = pipeline("token-classification", model=str(out), tokenizer=str(out), device="cpu")
    rows = [ask.tokenizer(text)["input_ids"] for text in sentences]
    length = max(map(len, rows))
    batch = {"ids": [row + [0] * (length - len(row)) for row in rows], "lengths": [len(row) for row in rows]}
    _, expected = made(tmp_path, "tagger", size, **{**job, **batch})
    seen = set()
    for row, text, logits in zip(rows, sentences, expected["logits"], strict=True):
        tags = [LABELS[number] for number in logits[1 : len(row) - 1].argmax(-1)]  # without [CLS] and [SEP]
        found = ask(text, ignore_labels=[])
        assert [(entry["index"], entry["entity"]) for entry in found] == list(enumerate(tags, 1)), text
        seen |= set(tags)
    assert len(sentences) == 20
    assert len(seen) > 2, "the tags differ from one another"


def texts() -> list[str]:
    """Twenty sentences of the words that the vocabulary has, and of others."""
    subjects = ("the white rabbit", "an old man", "Alice", "the sea", "his watch and the rabbit")
    verbs = ("looked at", "and", "at", "ate")
    return [
        f"{subject} {verb} the old watch{mark}"
        for subject in subjects
        for verb, mark in zip(verbs, ".!?,", strict=True)
    ]
