"""What transformers makes of a SentencePiece model, against what GluonNLP makes of the same text with sentencepiece."""

from __future__ import annotations

import importlib.util
import sys
import unicodedata
from typing import TYPE_CHECKING, Any

import pytest
from conftest import unavailable
from gluon_client import Gluon
from hypothesis import HealthCheck, assume, example, given, settings
from texts import BERT_SPECIAL, BERT_TEXTS, CHANGED, CLS, GAP, MASK, PAD, SEP, UNK

from bort_convert.tokenizer import ModelLimits, TokenizerOptions, find_tokenizer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.mxnet, pytest.mark.torch]

LENGTH = 24
KOREAN = [
    "모든 인간은 태어날 때부터 자유로우며 그 존엄과 권리에 있어 동등하다.",
    "인간은 천부적으로 이성과 양심을 부여받았으며 서로 형제애의 정신으로 행동하여야 한다.",
]
# As KoBERT's pieces begin, and with its rules.
TRAINER = {
    "unk_id": 0,
    "unk_piece": UNK,
    "pad_id": -1,
    "bos_id": -1,
    "eos_id": -1,
    "num_threads": 1,
    "minloglevel": 2,
    "character_coverage": 0.999,
}


class Sides:
    """GluonNLP with a model that it trained, and transformers with what we made of it, cased and lower-cased."""

    def __init__(self, folder: Path, lines: list[str], rules: str, symbols: str, size: int) -> None:
        self.folder, self.model = folder, folder / "x.spiece"
        self.gluon = Gluon("gluon_sentencepiece.py", str(self.model))
        special = {symbols: [PAD, CLS, SEP, MASK, "<x>"]}
        self.pieces = self.gluon.ask(lines=lines, vocab_size=size, normalization_rule_name=rules, **TRAINER, **special)
        self.transformers = {lower: self.load(lower=lower) for lower in (False, True)}
        self.number = {token: self.pieces.index(token) for token in BERT_SPECIAL}

    def load(self, *, lower: bool) -> Any:  # noqa: ANN401 - transformers has no types
        from transformers import AutoTokenizer  # noqa: PLC0415

        room = ModelLimits(len(self.pieces), LENGTH, types=2)
        tokenizer = find_tokenizer("WordPiece", TokenizerOptions(vocab=self.model, lower_case=lower), room)
        assert tokenizer is not None
        folder = self.folder / str(lower)
        folder.mkdir()
        for name, text in {**tokenizer.files, "config.json": '{"model_type": "bert"}'}.items():
            (folder / name).write_text(text, "utf-8")
        return AutoTokenizer.from_pretrained(folder)

    def ids(self, *texts: str, lower: bool) -> list[list[int]]:
        """The ids of each text by transformers, with no word taken for a special token."""
        found = self.transformers[lower](list(texts), split_special_tokens=True, add_special_tokens=False)
        return found["input_ids"]  # type: ignore[no-any-return]

    def normal(self, text: str) -> str:
        """A cased text by transformers, before it is cut into pieces."""
        return self.transformers[False].backend_tokenizer.normalizer.normalize_str(text)  # type: ignore[no-any-return]

    def expected(self, *texts: str, lower: bool) -> list[list[int]]:
        """The same by GluonNLP."""
        return self.gluon.ask(each=texts, lower=lower)  # type: ignore[no-any-return]


@pytest.fixture(scope="module", params=["nmt_nfkc", "identity", pytest.param("korean", marks=pytest.mark.shared)])
def sides(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sides]:
    if importlib.util.find_spec("sentencepiece") is None:
        unavailable("needs sentencepiece: pip install 'bort-convert[dev]'")
    folder = tmp_path_factory.mktemp(request.param)
    if request.param == "korean":
        here = request.getfixturevalue("shared") / "data" / "text"
        names = ("kor", "eng", "deu_1996", "fra", "rus", "jpn", "hin")
        lines = [line for name in names for line in (here / f"udhr_{name}.txt").read_text("utf-8").split("\n")]
        made = Sides(folder, lines, "nmt_nfkc", "user_defined_symbols", 2000)
    else:
        book = request.getfixturevalue("fixtures") / "little_bort" / "text.txt"
        lines = [*book.read_text("utf-8").split("\n")[:400], *KOREAN * 4]
        made = Sides(folder, lines, request.param, "control_symbols", 500)
    yield made
    made.gluon.close()


tables = pytest.mark.parametrize("sides", ["nmt_nfkc"], indirect=True)
korean = pytest.mark.parametrize("sides", [pytest.param("korean", marks=pytest.mark.shared)], indirect=True)
either = pytest.mark.parametrize("lower", [False, True], ids=["cased", "lower"])


def is_apart(text: str) -> bool:
    """Whether a letter is followed by one that joins it: below is what the library makes of these."""
    jamo = any("\u1100" <= letter <= "\u11ff" for letter in text)
    return jamo or any(unicodedata.category(letter) in {"Mn", "Mc", "Me", "Sk"} for letter in text)


@either
@given(text=BERT_TEXTS)
@example(text="㈜한국 ½ … ﷺ ℃ don't")
@example(text="\uff01\uff1f")  # on marks in front a normalizer of the library can panic
@example(text="▁▁the▁ ▁ ▁'▁")
@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_has_the_ids_that_gluonnlp_gives(sides: Sides, text: str, *, lower: bool) -> None:
    assume(lower or not is_apart(text))
    (expected,) = sides.expected(text, lower=lower)
    assert sides.ids(text, lower=lower) == [expected]
    if not any(token in text for token in BERT_SPECIAL):
        whole = sides.transformers[lower](text)["input_ids"]
        assert whole == [sides.number[CLS], *expected, sides.number[SEP]]


@korean
@either
def test_every_text_of_the_corpus_has_the_ids_that_gluonnlp_gives(sides: Sides, shared: Path, *, lower: bool) -> None:
    texts = [
        line
        for path in sorted((shared / "data" / "text").glob("*.txt"))
        for line in path.read_text("utf-8").split("\n")
    ]
    assert len(texts) > 5000
    for text, ids, expected in zip(
        texts, sides.ids(*texts, lower=lower), sides.expected(*texts, lower=lower), strict=True
    ):
        assert ids == expected, text


@tables
@either
def test_every_character_is_read_alike_but_for_those_newer_than_the_librarys_tables(
    sides: Sides, *, lower: bool
) -> None:
    kinds = {chr(code): unicodedata.category(chr(code)) for code in range(sys.maxunicode + 1)}
    letters = [letter for letter, kind in kinds.items() if kind not in {"Cs", "Cn", "Co"}]
    assert len(letters) > 140_000

    def differing(texts: list[str]) -> list[bool]:
        both = zip(sides.ids(*texts, lower=lower), sides.expected(*texts, lower=lower), strict=True)
        return [first != second for first, second in both]

    rows = [letters[start : start + 50] for start in range(0, len(letters), 50)]
    suspected = differing([" ".join(map("a{}b".format, row)) for row in rows])
    doubtful = [letter for row, differs in zip(rows, suspected, strict=True) if differs for letter in row]
    found = differing([f"a{letter}b" for letter in doubtful])
    apart = {letter for letter, differs in zip(doubtful, found, strict=True) if differs}
    gap = {chr(code) for code in GAP}
    assert gap <= apart
    newer = apart - gap - set(CHANGED)
    assert all(unicodedata.ucd_3_2_0.category(letter) == "Cn" for letter in newer)
    assert len(newer) < 1500


def test_the_ids_are_those_of_the_model(sides: Sides) -> None:
    tokenizer = sides.transformers[False]
    assert tokenizer.convert_ids_to_tokens(range(len(sides.pieces))) == sides.pieces
    assert len(tokenizer) == len(sides.pieces)
    roles = {"unk_token": UNK, "pad_token": PAD, "cls_token": CLS, "sep_token": SEP, "mask_token": MASK}
    assert tokenizer.special_tokens_map == roles


def test_unknown_letters_in_a_row_are_one_unknown_in_both(sides: Sides) -> None:
    (ids,) = sides.expected("aღღღb ღ", lower=False)
    assert ids.count(sides.number[UNK]) == 2
    assert sides.ids("aღღღb ღ", lower=False) == [ids]


@pytest.mark.parametrize("texts", [["The old man"], ["The old man", "and the sea"], ["the", ""]])
@pytest.mark.parametrize("length", [12, LENGTH])
def test_texts_are_laid_out_and_cut_as_gluonnlp_does_it(sides: Sides, texts: list[str], length: int) -> None:
    ids, types = sides.gluon.ask(texts=texts, length=length, lower=False)
    found = sides.transformers[False](*texts, truncation=True, max_length=length)
    assert len(ids) == len(found["input_ids"])
    if len(ids) < length or len(texts) == 1:
        assert (found["input_ids"], found["token_type_ids"]) == (ids, types)
    assert sides.transformers[False].model_max_length == LENGTH


def test_saving_and_loading_keep_the_ids(sides: Sides, tmp_path: Path) -> None:
    from transformers import AutoTokenizer, PreTrainedTokenizerFast  # noqa: PLC0415

    tokenizer = sides.transformers[False]
    assert type(tokenizer) is PreTrainedTokenizerFast
    tokenizer.save_pretrained(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "bert"}', "utf-8")
    again = AutoTokenizer.from_pretrained(tmp_path)
    for text in ("the [MASK] said: 인간은", ""):
        assert dict(again(text, text)) == dict(tokenizer(text, text))


def test_decoding_gives_words_with_spaces_around_marks(sides: Sides) -> None:
    ids = sides.ids("the old man", lower=False)[0]
    assert sides.transformers[False].decode(ids) == "the old man"


# What differs from GluonNLP


@pytest.mark.parametrize("token", BERT_SPECIAL)
def test_a_special_token_in_the_text_is_one_token_and_ordinary_text_where_asked(sides: Sides, token: str) -> None:
    text = f"the {token} the"
    (the,), (ordinary,) = sides.expected("the", lower=False), sides.expected(text, lower=False)
    found = sides.transformers[False](text, add_special_tokens=False)["input_ids"]
    assert found == [*the, sides.number[token], *the]
    assert sides.ids(text, lower=False) == [ordinary]
    assert sides.number[token] not in ordinary or token == UNK


DECOMPOSED = [unicodedata.normalize("NFD", text) for text in ("인간은", "が")]


@tables
@pytest.mark.parametrize("text", DECOMPOSED)
def test_long_letters_that_were_taken_apart_are_put_together_by_sentencepiece_alone(sides: Sides, text: str) -> None:
    whole = unicodedata.normalize("NFC", text)
    assert sides.expected(text, lower=False) == sides.expected(whole, lower=False) == sides.ids(whole, lower=False)
    assert sides.normal(text) != sides.normal(whole)
    assert sides.ids(text, lower=True) == sides.expected(text, lower=True)


@tables
def test_short_letters_that_were_taken_apart_are_put_together_by_both(sides: Sides) -> None:
    for letter in "éüñőЙ":
        text = unicodedata.normalize("NFD", letter)
        assert len(text) == 2
        assert sides.ids(text, lower=False) == sides.expected(text, lower=False) == sides.ids(letter, lower=False)


@tables
def test_an_accent_on_what_is_replaced_is_lost_in_the_library(sides: Sides) -> None:
    (expected,) = sides.expected("㎏\u0301", lower=False)
    assert sides.ids("㎏\u0301", "㎏", lower=False) == [expected[:-1]] * 2
    assert expected[-1] == sides.number[UNK]


@tables
def test_a_special_piece_that_letters_become_is_found_by_the_library_alone(sides: Sides) -> None:
    number = sides.pieces.index("<x>")
    text = "\uff1cx\uff1e"  # wide brackets
    (ids,), (expected,) = sides.ids(text, lower=False), sides.expected(text, lower=False)
    assert number in ids
    assert number not in expected
