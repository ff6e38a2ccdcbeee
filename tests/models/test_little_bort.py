"""A Bort that GluonNLP trained on MXNet: it knows after the conversion what it learnt."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from bort_convert import convert, load_pretrained, open_params, save_params

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bort_convert.dtypes import Array

SIZE = 3_000_000
SCORES = 1e-4
SPECIAL = ["<s>", "<pad>", "</s>", "<unk>"]


@dataclass(frozen=True)
class Little:
    """The folder with the checkpoint, its tokenizer and its answers."""

    folder: Path

    @property
    def weights(self) -> Path:
        return self.folder / "little_bort.params"

    @property
    def predictions(self) -> dict[str, Any]:
        """The attention heads, and the answers of GluonNLP on MXNet."""
        return read_json(self.folder / "predictions.json")

    @property
    def tokens(self) -> list[str]:
        return list(read_json(self.folder / "little_bort.vocab")["idx_to_token"])

    @property
    def ranks(self) -> list[str]:
        return (self.folder / "little_bort_ranks.txt").read_text("utf-8").split("\n")

    def converted(self, target: Path) -> Path:
        convert(self.weights, target, family="bort", heads=self.predictions["heads"])
        return target


def read_json(path: Path) -> dict[str, Any]:
    content = json.loads(path.read_text("utf-8"))
    assert isinstance(content, dict)
    return content


@pytest.fixture
def little(fixtures: Path) -> Little:
    return Little(fixtures / "little_bort")


@pytest.fixture
def scripts(fixtures: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The script that reads the little Bort's tokenizer with GluonNLP, as a module."""
    monkeypatch.syspath_prepend(fixtures)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # The scripts set np.bool for mxnet; after the test it is removed.
        monkeypatch.setattr(np, "bool", bool, raising=False)
        yield importlib.import_module("ask_little_bort")


def softmax(logits: Array) -> Array:
    odds = np.exp(logits.astype("float64") - logits.max())
    return odds / odds.sum()


def scores_of(model: Any, answer: dict[str, Any]) -> Array:  # noqa: ANN401 - transformers has no types
    """Probability of each token for the mask of a prompt (vocab_size,)."""
    import torch  # noqa: PLC0415

    with torch.no_grad():
        logits = model.eval()(torch.tensor([answer["ids"]])).logits
    return softmax(logits[0, answer["position"]].numpy())


def assert_same_answer(scores: Array, answer: dict[str, Any]) -> None:
    """Compare the best tokens, their order and their scores."""
    best = scores.argsort()[::-1][: len(answer["top"])]
    assert best.tolist() == [entry["id"] for entry in answer["top"]], answer["prompt"]
    np.testing.assert_allclose(scores[best], [entry["score"] for entry in answer["top"]], rtol=0, atol=SCORES)


def correct(predictions: list[dict[str, Any]]) -> tuple[int, int]:
    """Number of expected words that come first, and that are among the best five."""
    words = [[entry["token"].replace("Ġ", "") for entry in answer["top"]] for answer in predictions]
    pairs = list(zip(words, [answer["expected"] for answer in predictions], strict=True))
    return sum(best[0] == word for best, word in pairs), sum(word in best for best, word in pairs)


def test_it_predicts_the_words_that_a_reader_expects(little: Little) -> None:
    answers = little.predictions["answers"]
    first, among_five = correct(answers)
    assert len(answers) == 8
    assert first >= 6
    assert among_five == 8


@pytest.mark.torch
def test_random_weights_predict_none_of_them(little: Little, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    with open_params(little.weights) as params:
        random = {name: rng.normal(0, 0.02, array.shape).astype(array.dtype) for name, array in params.items()}
    random["decoder.3.weight"] = random["word_embed.0.weight"]
    save_params(tmp_path / "random.params", random)
    convert(tmp_path / "random.params", tmp_path / "out", family="bort", heads=little.predictions["heads"])
    model, tokens, answers = load_pretrained(tmp_path / "out"), little.tokens, []
    for answer in little.predictions["answers"]:
        best = scores_of(model, answer).argsort()[::-1][:5]
        answers.append(answer | {"top": [{"token": tokens[number]} for number in best]})
    assert correct(answers)[1] <= 1


@pytest.mark.mxnet
def test_gluonnlp_on_mxnet_gives_the_recorded_answers(little: Little, tmp_path: Path) -> None:
    # In a process of its own, because this one may have loaded torch.
    script = little.folder.parent / "ask_little_bort.py"
    subprocess.run([sys.executable, "-W", "ignore", script, tmp_path], check=True, capture_output=True)
    live, recorded = read_json(tmp_path / "predictions.json"), little.predictions
    assert live["heads"] == recorded["heads"]
    for one, other in zip(live["answers"], recorded["answers"], strict=True):
        assert {key: one[key] for key in one if key != "top"} == {key: other[key] for key in other if key != "top"}
        assert [entry["token"] for entry in one["top"]] == [entry["token"] for entry in other["top"]]
        for first, second in zip(one["top"], other["top"], strict=True):
            assert first["score"] == pytest.approx(second["score"], abs=SCORES)


@pytest.mark.torch
def test_the_converted_model_gives_the_answers_of_mxnet(little: Little, tmp_path: Path) -> None:
    from transformers import BertForMaskedLM  # noqa: PLC0415

    out = little.converted(tmp_path / "out")
    for model in (load_pretrained(out), BertForMaskedLM.from_pretrained(out)):
        for answer in little.predictions["answers"]:
            assert_same_answer(scores_of(model, answer), answer)


def test_answers_that_differ_are_noticed(little: Little) -> None:
    answer = little.predictions["answers"][0]
    scores = np.zeros(len(little.tokens))
    for entry in answer["top"]:
        scores[entry["id"]] = entry["score"]
    assert_same_answer(scores, answer)
    best, second = (entry["id"] for entry in answer["top"][:2])
    other = scores.copy()
    other[best] -= 3 * SCORES
    with pytest.raises(AssertionError):
        assert_same_answer(other, answer)
    scores[[best, second]] = scores[[second, best]]
    with pytest.raises(AssertionError):
        assert_same_answer(scores, answer)


def test_it_is_small(little: Little) -> None:
    assert sum(path.stat().st_size for path in little.folder.iterdir()) <= SIZE


def test_the_vocabulary_has_a_token_for_each_row_of_the_embedding(little: Little) -> None:
    with open_params(little.weights) as params:
        assert params.header["word_embed.0.weight"].shape[0] == len(little.tokens)
        assert {info.dtype for info in params.header.values()} == {"float32"}


def test_the_vocabulary_has_the_layout_of_roberta_with_every_merge_and_byte(little: Little) -> None:
    tokens, (version, *merges, last) = little.tokens, little.ranks
    assert tokens[:4] == SPECIAL
    assert tokens[-1] == "<mask>"
    assert version.startswith("#version")
    assert last == ""
    ordinary = tokens[4:-1]
    byte_characters = [token for token in ordinary if len(token) == 1]
    assert len(byte_characters) == 256
    assert sorted(ordinary) == sorted([*byte_characters, *(merge.replace(" ", "") for merge in merges)])


@pytest.mark.mxnet
def test_gluonnlp_tokenizes_the_book_without_unknown_tokens_and_back(little: Little, scripts: Any) -> None:  # noqa: ANN401
    detokenizer = importlib.import_module("gluonnlp").data.GPT2BPEDetokenizer()
    vocab, encode = scripts.read_tokenizer(little.folder)
    text = (little.folder / "text.txt").read_text("utf-8")
    ids = encode(text)
    assert vocab["<unk>"] not in ids
    assert detokenizer([vocab.idx_to_token[number] for number in ids]) == text


@pytest.mark.mxnet
def test_every_byte_has_a_token(little: Little, scripts: Any) -> None:  # noqa: ANN401
    vocab, encode = scripts.read_tokenizer(little.folder)
    assert vocab["<unk>"] not in encode("".join(map(chr, range(0x800))) + "漢字😀")


@pytest.mark.mxnet
@pytest.mark.torch
def test_training_again_makes_the_same_vocabulary_and_ranks(little: Little, tmp_path: Path) -> None:
    script = little.folder.parent / "train_little_bort.py"
    command = [sys.executable, "-W", "ignore", script, "--out", tmp_path, "--steps", "2"]
    shown = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert shown.startswith("step 2: loss 7.")
    for name in ("little_bort.vocab", "little_bort_ranks.txt"):
        assert (tmp_path / name).read_bytes() == (little.folder / name).read_bytes()
    with open_params(little.weights) as recorded, open_params(tmp_path / little.weights.name) as trained:
        assert {name: info.shape for name, info in recorded.header.items()} == {
            name: info.shape for name, info in trained.header.items()
        }
