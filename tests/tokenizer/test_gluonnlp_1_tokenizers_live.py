"""Compare tokenizers of GluonNLP 1.0 in transformers, loaded from our files, with the libraries that 1.0 calls.

`HuggingFaceWordPieceTokenizer` and `HuggingFaceByteBPETokenizer` of 1.0 build a tokenizer of the tokenizers library,
and `SentencepieceTokenizer` a processor of sentencepiece: the same is built here, with the settings of 1.0.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from gluonnlp1_vocabularies import BERT_ROLES, byte_level_texts, vocabulary_text
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from matrix_texts import wordpieces
from sentencepiece_files import CONTROL, piece
from sentencepiece_training import ALBERT, T5, XLM_R, all_texts, corpus, train
from texts import BERT_FRAGMENTS, BERT_SPECIAL, CHARACTERS, FRAGMENTS

from bort_convert.tokenizer import ModelLimits, TokenizerOptions, find_tokenizer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = [pytest.mark.torch, pytest.mark.shared]
OWN = ["▁", "<extra_id_0>", "<extra_id_99>", "[CLS]", "<mask>", "É", "İ", "naïve", "x" * 101, "x" * 100, "–"]  # noqa: RUF001
TEXTS = st.lists(st.sampled_from([*FRAGMENTS, *BERT_FRAGMENTS, *OWN]) | st.text(CHARACTERS, max_size=8), max_size=12)


def load(folder: Path, kind: str, size: int, model_type: str, **options: Any) -> Any:  # noqa: ANN401
    """Write our files, and load them with transformers."""
    from transformers import AutoTokenizer  # noqa: PLC0415

    limits = ModelLimits(size, 16, 2 if kind in {"WordPiece-1.0", "ALBERT"} else 1)
    tokenizer = find_tokenizer(kind, TokenizerOptions(**options), limits)
    assert tokenizer is not None
    out = folder / "out"
    out.mkdir()
    for name, text in {**tokenizer.files, "config.json": f'{{"model_type": "{model_type}"}}'}.items():
        (out / name).write_text(text, "utf-8")
    return AutoTokenizer.from_pretrained(out)


class Sides:
    """The original's ids and text, and transformers with our files.

    `finds_special` is true where the original finds special tokens in a text too.
    """

    def __init__(
        self,
        encode: Callable[[str], list[int]],
        decode: Callable[[list[int]], str],
        tokenizer: Any,  # noqa: ANN401
        *,
        finds_special: bool = False,
    ) -> None:
        self.encode, self.decode, self.tokenizer, self.finds_special = encode, decode, tokenizer, finds_special

    def ids(self, text: str) -> list[int]:
        split = {} if self.finds_special else {"split_special_tokens": True}
        return self.tokenizer(text, add_special_tokens=False, verbose=False, **split)["input_ids"]  # type: ignore[no-any-return]

    def text(self, ids: list[int]) -> str:
        return self.tokenizer.decode(ids, skip_special_tokens=self.finds_special)  # type: ignore[no-any-return]


def wordpiece(folder: Path, shared: Path, *, lower: bool) -> Sides:
    import tokenizers  # noqa: PLC0415

    marks = sorted({mark for line in corpus(shared) for mark in line if not mark.isspace()})
    words = dict.fromkeys([*BERT_SPECIAL, *wordpieces(), *marks, *(f"##{mark}" for mark in marks), "é", "##é"])
    (folder / "vocab.json").write_text(vocabulary_text(words, BERT_ROLES), "utf-8")
    original = tokenizers.BertWordPieceTokenizer(
        vocab={token: number for number, token in enumerate(words)},
        clean_text=True,
        handle_chinese_chars=True,
        strip_accents=False,
        lowercase=lower,
        wordpieces_prefix="##",
        **BERT_ROLES,
    )
    ours = load(folder, "WordPiece-1.0", len(words), "bert", vocab=folder / "vocab.json", lower_case=lower)
    return Sides(
        lambda text: original.encode(text, add_special_tokens=False).ids, original.decode, ours, finds_special=True
    )


def byte_level(folder: Path, kind: str, model_type: str) -> Sides:
    import tokenizers  # noqa: PLC0415

    vocabulary, merges = byte_level_texts(roberta=kind == "RoBERTa")
    (folder / "gpt2.vocab").write_text(vocabulary, "utf-8")
    (folder / "gpt2.merges").write_text(merges, "utf-8")
    tokens = json.loads(vocabulary)["all_tokens"]
    pairs = [tuple(line.split(" ")) for line in merges.splitlines()[1:]]
    ids = {token: number for number, token in enumerate(tokens)}
    original = tokenizers.ByteLevelBPETokenizer(vocab=ids, merges=pairs, add_prefix_space=False, trim_offsets=False)
    options = {"vocab": folder / "gpt2.vocab", "bpe_ranks": folder / "gpt2.merges"}
    ours = load(folder, kind, len(tokens), model_type, **options)
    return Sides(
        lambda text: original.encode(text).ids, lambda given: original.decode(given, skip_special_tokens=False), ours
    )


def sentencepiece(folder: Path, model: bytes, kind: str, model_type: str, rows: int = 0) -> Sides:
    import sentencepiece as library  # noqa: PLC0415

    (folder / "x.model").write_bytes(model)
    processor = library.SentencePieceProcessor(model_proto=model)
    lower = {"lower_case": True} if kind == "ALBERT" else {}
    ours = load(folder, kind, rows or len(processor), model_type, vocab=folder / "x.model", **lower)
    pieces = len(processor)
    return Sides(
        lambda text: processor.encode(text.lower() if lower else text),
        lambda ids: processor.decode([number for number in ids if number < pieces]),
        ours,
    )


def make(name: str, folder: Path, shared: Path) -> Sides:
    lines = corpus(shared)
    lower = [line.lower() for line in lines]
    mask = piece("<mask>", 0.0, CONTROL)
    makers: dict[str, Callable[[], Sides]] = {
        "WordPiece": lambda: wordpiece(folder, shared, lower=False),
        "WordPiece, lower case": lambda: wordpiece(folder, shared, lower=True),
        "GPT-2": lambda: byte_level(folder, "GPT-2", "gpt2"),
        "BART": lambda: byte_level(folder, "RoBERTa", "bart"),
        "ALBERT": lambda: sentencepiece(folder, train(lower, **ALBERT), "ALBERT", "albert"),
        "XLM-R": lambda: sentencepiece(folder, train(lines, **XLM_R) + mask, "XLM-R", "xlm-roberta"),
        "T5": lambda: sentencepiece(folder, train(lines, **T5), "T5", "t5", 2176),
        "mT5": lambda: sentencepiece(folder, train(lines, **T5, byte_fallback=True), "T5", "mt5"),
    }
    return makers[name]()


NAMES = ["WordPiece", "WordPiece, lower case", "GPT-2", "BART", "ALBERT", "XLM-R", "T5", "mT5"]


@pytest.fixture(scope="module", params=NAMES)
def both(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Sides:
    return make(request.param, tmp_path_factory.mktemp("files"), request.getfixturevalue("shared"))


def only(*names: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("both", names, indirect=True)


def test_every_text_of_the_corpus_has_the_originals_ids_and_decodes_to_its_text(both: Sides, shared: Path) -> None:
    texts = all_texts(shared)
    assert len(texts) > 5000
    expected = [both.encode(text) for text in texts]
    assert [text for text, ids in zip(texts, expected, strict=True) if both.ids(text) != ids] == []
    assert [ids for ids in expected if both.text(ids) != both.decode(ids)] == []


@given(parts=TEXTS)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_has_the_originals_ids_and_decodes_to_its_text(both: Sides, parts: list[str]) -> None:
    text = "".join(parts).replace("Σ", "")
    ids = both.encode(text)
    assert both.ids(text) == ids
    assert both.text(ids) == both.decode(ids)


def layout(both: Sides, *texts: str) -> list[str]:
    """Tokens around and between texts, with A and B in place of the texts'."""
    ids = both.tokenizer(*texts)["input_ids"]
    tokens = both.tokenizer.convert_ids_to_tokens(ids)
    for name, text in zip("AB", texts, strict=False):
        inner = both.tokenizer.convert_ids_to_tokens(both.encode(text))
        place = next(place for place in range(len(tokens)) if tokens[place : place + len(inner)] == inner)
        tokens[place : place + len(inner)] = [name]
    return tokens  # type: ignore[no-any-return]


LAYOUTS = {
    "WordPiece": (["[CLS]", "A", "[SEP]"], ["[CLS]", "A", "[SEP]", "B", "[SEP]"]),
    "GPT-2": (["A"], ["A", "B"]),
    "BART": (["<s>", "A", "</s>"], ["<s>", "A", "</s>", "</s>", "B", "</s>"]),
    "ALBERT": (["[CLS]", "A", "[SEP]"], ["[CLS]", "A", "[SEP]", "B", "[SEP]"]),
    "XLM-R": (["<s>", "A", "</s>"], ["<s>", "A", "</s>", "</s>", "B", "</s>"]),
    "T5": (["A", "</s>"], ["A", "</s>", "B", "</s>"]),
}


@pytest.mark.parametrize("both", LAYOUTS, indirect=True)
def test_special_tokens_stand_where_the_model_has_them(both: Sides, request: pytest.FixtureRequest) -> None:
    name = request.node.callspec.params["both"]
    assert (layout(both, "the old man"), layout(both, "the old man", "and a white hole")) == LAYOUTS[name]
    if both.tokenizer.pad_token is not None:
        encoded = both.tokenizer(["a", "the old man"], ["b", "c"], padding=True)
        assert encoded["attention_mask"][0][-1] == 0, "padding stands behind"


@only("ALBERT", "WordPiece")
def test_the_second_text_has_the_type_1(both: Sides) -> None:
    types = both.tokenizer("the", "old")["token_type_ids"]
    assert types == sorted(types)
    assert {*types} == {0, 1}
    assert both.tokenizer.model_max_length == 16


@only("T5")
def test_a_sentinel_in_a_text_is_one_token_and_left_out_when_decoding(both: Sides) -> None:
    tokenizer = both.tokenizer
    ids = tokenizer("the <extra_id_0> man <extra_id_99>")["input_ids"]
    numbers = tokenizer.convert_tokens_to_ids(["<extra_id_0>", "<extra_id_99>"])
    assert numbers[0] - numbers[1] == 99
    assert numbers[1] == len(tokenizer) - 100
    assert [number for number in ids if number in numbers] == numbers
    assert tokenizer.decode(ids, skip_special_tokens=True) == both.decode(
        [number for number in ids if number not in numbers]
    )


@only("XLM-R")
def test_xlm_rs_ids_are_the_numbers_of_the_pieces_and_the_mask_is_last(both: Sides) -> None:
    tokenizer = both.tokenizer
    assert tokenizer.convert_tokens_to_ids(["<s>", "<pad>", "</s>", "<unk>"]) == [0, 1, 2, 3]
    assert tokenizer.mask_token_id == len(tokenizer) - 1
    assert tokenizer("the <mask> man")["input_ids"].count(tokenizer.mask_token_id) == 1


@only("ALBERT", "T5", "WordPiece")
def test_saving_and_loading_keep_the_ids(both: Sides, tmp_path: Path) -> None:
    from transformers import AutoTokenizer, PreTrainedTokenizerFast  # noqa: PLC0415

    assert type(both.tokenizer) is PreTrainedTokenizerFast
    both.tokenizer.save_pretrained(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "bert"}', "utf-8")
    again = AutoTokenizer.from_pretrained(tmp_path)
    for text in ("The old naïve man 日本", ""):
        assert dict(again(text, text)) == dict(both.tokenizer(text, text))


@only("ALBERT")
def test_a_sigma_at_the_end_of_a_word_is_another_letter_in_python(both: Sides) -> None:
    normalized = both.tokenizer.backend_tokenizer.normalizer.normalize_str
    assert normalized("ΟΔΟΣ") == "▁οδοσ" != f"▁{'ΟΔΟΣ'.lower()}"
    assert normalized("ΣΟ") == f"▁{'ΣΟ'.lower()}"
