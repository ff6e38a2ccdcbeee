"""Tokenizers of GluonNLP 1.0: files and refusals, and each checkpoint of the corpus with one."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from gluonnlp1_vocabularies import (
    BERT_ROLES,
    ROBERTA_ROLES,
    bert_text,
    byte_level_texts,
    sentencepiece_model,
    vocabulary_text,
)
from texts import BERT_SPECIAL

import bort_convert
from bort_convert.errors import FormatError, OptionError, VariantError
from bort_convert.models.registry import families
from bort_convert.tokenizer import ModelLimits, TokenizerOptions, bert_vocabulary, find_tokenizer
from bort_convert.tokenizer.sources import read_file
from bort_convert.tokenizer.t5 import SENTINELS
from bort_convert.zoo import Vocabulary

if TYPE_CHECKING:
    from pathlib import Path

    from bort_convert.tokenizer import Tokenizer

KINDS = {
    "bert-1.0": "WordPiece-1.0",
    "electra": "WordPiece-1.0",
    "mobilebert": "WordPiece-1.0",
    "roberta-1.0": "RoBERTa",
    "gpt2-1.0": "GPT-2",
    "bart": "RoBERTa",
    "albert": "ALBERT",
    "xlm-roberta": "XLM-R",
    "t5": "T5",
    "mt5": "T5",
}
SIZE = 61
"""Rows of each word embedding of the corpus."""
CHECKPOINTS = {
    "bert_mlm_a": "bert-1.0",
    "electra_disc_a": "electra",
    "mobilebert_mlm_a": "mobilebert",
    "roberta_mlm_a": "roberta-1.0",
    "bart_lm_a": "bart",
    "albert_mlm_a": "albert",
    "xlmr_mlm_a": "xlm-roberta",
    "t5_model_a": "t5",
    "mt5_model_a": "mt5",
}


def write_vocabulary(folder: Path, kind: str, size: int = SIZE) -> dict[str, Path]:
    """Write the files of a tokenizer of this kind; the options that name them."""
    folder.mkdir(exist_ok=True)
    if kind == "WordPiece-1.0":
        (folder / "vocab.json").write_text(bert_text(size), "utf-8")
        return {"vocab": folder / "vocab.json"}
    if kind in {"RoBERTa", "GPT-2"}:
        vocabulary, merges = byte_level_texts(roberta=kind == "RoBERTa", size=size if kind == "RoBERTa" else 0)
        (folder / "gpt2.vocab").write_text(vocabulary, "utf-8")
        (folder / "gpt2.merges").write_text(merges, "utf-8")
        return {"vocab": folder / "gpt2.vocab", "bpe_ranks": folder / "gpt2.merges"}
    (folder / "x.vocab").write_bytes(sentencepiece_model(kind, size))
    return {"vocab": folder / "x.vocab"}


def make(kind: str, size: int = SIZE, **options: Any) -> Tokenizer:  # noqa: ANN401 - fields of TokenizerOptions
    tokenizer = find_tokenizer(kind, TokenizerOptions(**options), ModelLimits(size, 16, 2))
    assert tokenizer is not None
    return tokenizer


def json_of(tokenizer: Tokenizer, name: str = "tokenizer.json") -> Any:  # noqa: ANN401
    return json.loads(tokenizer.files[name])


def test_every_family_of_1_0_has_its_kind() -> None:
    assert {name: families()[name].tokenizer for name in KINDS} == KINDS


@pytest.mark.shared
@pytest.mark.torch
@pytest.mark.parametrize(("name", "family"), CHECKPOINTS.items())
def test_a_checkpoint_of_the_corpus_gets_its_tokenizer_and_special_token_ids(
    shared: Path, tmp_path: Path, name: str, family: str
) -> None:
    from transformers import AutoConfig, AutoTokenizer  # noqa: PLC0415

    options = write_vocabulary(tmp_path / "files", KINDS[family])
    source, given = shared / "corpus" / "gluonnlp1" / f"{name}.params", {"family": family, "heads": 4}
    layers = {"layers": 3} if family == "albert" else {}
    cased = {"lower_case": True} if family == "albert" or KINDS[family] == "WordPiece-1.0" else {}
    bort_convert.convert(source, tmp_path / "out", **given, **layers, **options, **cased)
    assert bort_convert.check(tmp_path / "out")
    tokenizer, config = AutoTokenizer.from_pretrained(tmp_path / "out"), AutoConfig.from_pretrained(tmp_path / "out")
    ids = tokenizer("the the")["input_ids"]
    assert max(ids) < SIZE
    for role in ("pad", "bos", "eos"):
        assert getattr(config, f"{role}_token_id", None) == getattr(tokenizer, f"{role}_token_id"), role
    again = bort_convert.add_tokenizer(tmp_path / "out", **options, **cased)
    assert dict(again.tokenizer) == {path.name: read_file(path).sha256 for path in options.values()}


@pytest.mark.parametrize("kind", sorted({*KINDS.values()} - {"GPT-2"}))
def test_a_vocabulary_of_another_size_is_refused(tmp_path: Path, kind: str) -> None:
    with pytest.raises(FormatError, match=r"Is it another checkpoint's vocabulary\?"):
        make(kind, 30522, **write_vocabulary(tmp_path, kind))


@pytest.mark.parametrize("kind", ["ALBERT", "XLM-R", "T5"])
def test_a_json_in_place_of_a_sentencepiece_model_is_refused(tmp_path: Path, kind: str) -> None:
    (tmp_path / "vocab.json").write_text(bert_text(), "utf-8")
    with pytest.raises(FormatError, match=r"vocab\.json: expected a SentencePiece model"):
        make(kind, vocab=tmp_path / "vocab.json")


@pytest.mark.parametrize(
    ("kind", "other", "message"),
    [
        ("ALBERT", "T5", r"cls_token is '\[CLS\]', expected one of the tokens"),
        ("XLM-R", "T5", "bos_token is '<s>', expected one of the tokens"),
        ("T5", "ALBERT", "eos_token is '</s>', expected one of the tokens"),
        ("WordPiece-1.0", "T5", "a SentencePiece model; a WordPiece tokenizer cannot be made of one"),
        ("RoBERTa", "T5", "a SentencePiece model; a byte-level BPE cannot be made of one"),
        ("RoBERTa", "WordPiece-1.0", "bos_token is None, expected one of the tokens"),
        ("WordPiece-1.0", "RoBERTa", "cls_token is None, expected one of the tokens"),
    ],
)
def test_a_vocabulary_of_another_kind_is_refused(tmp_path: Path, kind: str, other: str, message: str) -> None:
    options = {"vocab": write_vocabulary(tmp_path, other)["vocab"]}
    if kind == "RoBERTa":
        options["bpe_ranks"] = write_vocabulary(tmp_path / "ranks", "RoBERTa")["bpe_ranks"]
    with pytest.raises(FormatError, match=message):
        make(kind, **options)


def test_a_wordpiece_keeps_accents_and_long_words_are_unknown(tmp_path: Path) -> None:
    files = write_vocabulary(tmp_path, "WordPiece-1.0")
    content = json_of(make("WordPiece-1.0", **files, lower_case=True))
    assert (content["normalizer"]["lowercase"], content["normalizer"]["strip_accents"]) == (True, False)
    assert content["model"]["max_input_chars_per_word"] == 100
    files["vocab"].write_text(vocabulary_text([*BERT_SPECIAL, "the"], BERT_ROLES), "utf-8")
    tokenizer = make("WordPiece-1.0", 6, **files)
    assert tokenizer.notes == (
        "tokenizer: text is lower-cased and keeps its accents; no word in vocab.json has a capital letter",
    )
    assert json_of(tokenizer, "tokenizer_config.json")["strip_accents"] is False
    with pytest.raises(OptionError, match="takes no such option"):
        make("WordPiece-1.0", tokenizer=tmp_path)


def test_a_published_vocabulary_tells_its_lower_case(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = write_vocabulary(tmp_path, "WordPiece-1.0")
    known = [Vocabulary("vocab.json", read_file(files["vocab"]).sha1, 6, "WordPiece")]
    monkeypatch.setattr(bert_vocabulary, "OF_1_0", known)
    tokenizer = make("WordPiece-1.0", **files)
    assert tokenizer.notes == ("tokenizer: text keeps its capital letters and accents; by vocab.json",)
    assert json_of(tokenizer)["normalizer"]["lowercase"] is False
    assert json_of(make("WordPiece-1.0", **files, lower_case=True))["normalizer"]["lowercase"] is True
    assert "by vocab.json" not in make("WordPiece", **files).notes[0], "0.x knows nothing of it"


def test_an_albert_of_a_script_without_capitals_is_asked_about(tmp_path: Path) -> None:
    from sentencepiece_files import CONTROL, NORMAL, UNKNOWN, model  # noqa: PLC0415

    first = [
        ("<pad>", 0.0, CONTROL),
        ("<unk>", 0.0, UNKNOWN),
        *((text, 0.0, CONTROL) for text in ("[CLS]", "[SEP]", "[MASK]")),
    ]
    (tmp_path / "x.model").write_bytes(model([*first, ("▁", -1.0, NORMAL), ("日", -2.0, NORMAL)]))
    with pytest.raises(VariantError, match="does not tell whether text is lower-cased"):
        make("ALBERT", 7, vocab=tmp_path / "x.model")
    assert make("ALBERT", 7, vocab=tmp_path / "x.model", lower_case=False)


def test_a_t5_gets_a_hundred_sentinels_the_first_of_which_is_the_last(tmp_path: Path) -> None:
    tokenizer = make("T5", 192, **write_vocabulary(tmp_path, "T5"))
    added = {token["content"]: token["id"] for token in json_of(tokenizer)["added_tokens"]}
    assert added["<extra_id_0>"] == SIZE + 99
    assert added["<extra_id_99>"] == SIZE
    assert len(SENTINELS) == 100
    assert tokenizer.notes == ()


def test_an_mt5_has_no_rows_for_sentinels_and_a_note_says_so(tmp_path: Path) -> None:
    tokenizer = make("T5", 73, **write_vocabulary(tmp_path, "T5"))
    assert tokenizer.notes == ("tokenizer: no <extra_id_N>, for which the model has no rows (73)",)
    assert not any("extra_id" in token["content"] for token in json_of(tokenizer)["added_tokens"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            vocabulary_text([*BERT_SPECIAL], BERT_ROLES).replace("special_token_key_value", "x"),
            "special_token_key_value is null, expected an object",
        ),
        (vocabulary_text([*BERT_SPECIAL, "a", "a"], BERT_ROLES), "token 6 is 'a', the same as token 5"),
        (vocabulary_text([*BERT_SPECIAL], {}), "unknown_token is None, expected one of the tokens"),
        (vocabulary_text([*BERT_SPECIAL[1:]], BERT_ROLES), r"padding_token is '\[PAD\]', expected one of the tokens"),
        ('{"all_tokens": 7, "special_token_key_value": {}}', "the tokens are a number, expected an array"),
    ],
)
def test_a_faulty_json_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "vocab.json").write_text(text, "utf-8")
    with pytest.raises(FormatError, match=message):
        make("WordPiece-1.0", 7, vocab=tmp_path / "vocab.json")


def test_a_json_of_1_0_gives_a_model_of_0_x_the_same_tokens(tmp_path: Path) -> None:
    vocabulary, merges = byte_level_texts(roberta=True)
    for name, text in (("new.vocab", vocabulary), ("x.merges", merges)):
        (tmp_path / name).write_text(text, "utf-8")
    tokens = json.loads(vocabulary)["all_tokens"]
    old = {"idx_to_token": tokens, "token_to_idx": {token: number for number, token in enumerate(tokens)}}
    roles = {
        "padding_token": "<pad>",
        **{name: ROBERTA_ROLES[name] for name in ("bos_token", "eos_token", "mask_token")},
    }
    (tmp_path / "old.vocab").write_text(
        json.dumps({**old, "unknown_token": "<unk>", "identifiers_to_tokens": roles}), "utf-8"
    )
    one, other = (
        make("RoBERTa", len(tokens), vocab=tmp_path / name, bpe_ranks=tmp_path / "x.merges")
        for name in ("new.vocab", "old.vocab")
    )
    assert one.files == other.files
